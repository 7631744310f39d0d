//! What outlives a request.
