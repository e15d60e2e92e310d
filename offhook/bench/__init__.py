"""Measurements that anyone can repeat: `offhook bench`."""
