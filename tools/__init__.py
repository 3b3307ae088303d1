"""Scripts for those who work on the repository; nothing in the package imports them."""
