"""What is known before a cent is spent: pictures, captions and folders looked at, mended, and made ready to travel."""
