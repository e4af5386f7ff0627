package traffic

// WithoutTools is withoutTools, for tests.
func WithoutTools(body []byte) []byte { return withoutTools(body) }
