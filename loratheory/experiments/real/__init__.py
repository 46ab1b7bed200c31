"""Facts in words, adapters that teach them to a language model, and questions about them."""
