//! Says how well each known model would do on a text: a hashed linear scorer with shipped weights.
