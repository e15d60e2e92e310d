"""What runs in a worker process: one decoder, some 30 MB, with the last few grammars at hand."""

import signal
from collections import OrderedDict
from dataclasses import dataclass
from functools import cache

import numpy
import pocketsphinx

from adapters.grammar import grammar
from domain.mulaw import to_pcm
from schemas.variable import Expectation

MOST_GRAMMARS = 16
MIRROR = 0.1
"""How much of the mirrored band is added. The acoustic model was trained on 16 kHz and expects something above 4 kHz;
with the spectral image of the lower band there it understands phone audio, without it much less."""
TAPS, CUT_HZ = 63, 3900


def start() -> None:
    """Makes the decoder before the first caller needs it. Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _decoder()


def ready() -> bool:
    """Whether there is a decoder."""
    return _decoder() is not None


def decode(expectation: Expectation, sound: bytes) -> tuple[str, tuple[str, ...]]:
    """What mu-law 8 kHz sounds like most of all that is expected, empty if like nothing; and the expected answers that
    can't be understood, since the dictionary lacks a word of theirs."""
    search = _search(expectation)
    decoder = _decoder()
    decoder.activate_search(search.name)
    decoder.start_utt()
    decoder.process_raw(widen(sound), full_utt=True)
    decoder.end_utt()
    heard = decoder.hyp()
    return heard.hypstr if heard else "", search.left_out


@cache
def _decoder() -> pocketsphinx.Decoder:
    # Grammars are tiny, so the beams can be wide.
    return pocketsphinx.Decoder(
        lm=None, samprate=16000, beam=1e-80, wbeam=1e-60, pbeam=1e-80, bestpath=False, loglevel="FATAL"
    )


@dataclass(frozen=True, slots=True)
class _Search:
    name: str
    left_out: tuple[str, ...]


_searches = OrderedDict[Expectation, _Search]()


def _search(expectation: Expectation) -> _Search:
    """The decoder's search for a grammar; that which wasn't used for longest makes room."""
    if expectation not in _searches:
        full = len(_searches) >= MOST_GRAMMARS
        name = _searches.popitem(last=False)[1].name if full else str(len(_searches))
        decoder = _decoder()
        made = grammar(expectation, lambda word: decoder.lookup_word(word) is not None)
        decoder.add_jsgf_string(name, made.jsgf)
        _searches[expectation] = _Search(name, made.left_out)
    _searches.move_to_end(expectation)
    return _searches[expectation]


@cache
def _filter() -> numpy.ndarray:
    n = numpy.arange(TAPS) - (TAPS - 1) / 2
    low = numpy.sinc(n * 2 * CUT_HZ / 16000) * numpy.hamming(TAPS)
    low *= (1 - MIRROR) / low.sum()
    low[(TAPS - 1) // 2] += MIRROR
    return low


def widen(sound: bytes) -> bytes:
    """mu-law 8 kHz → 16-bit PCM at 16 kHz, with some of the spectral image left in: zeros between the samples, then
    a low-pass that lets a little through."""
    samples = numpy.frombuffer(to_pcm(sound), "<i2")
    raised = numpy.zeros(2 * len(samples))
    raised[::2] = 2.0 * samples
    return numpy.convolve(raised, _filter(), "same").clip(-32768, 32767).astype("<i2").tobytes()
