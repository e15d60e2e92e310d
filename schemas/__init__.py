"""What is stored or crosses a wire: one noun a file, no behaviour beyond validation."""
