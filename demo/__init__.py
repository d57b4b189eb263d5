"""The demo: footage that the project makes itself, and the whole way from it to a trained model."""
