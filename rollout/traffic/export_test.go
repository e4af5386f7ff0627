package traffic

// CopyBody is rewrite, for tests.
func (b Backend) CopyBody(body []byte, keepTools bool) []byte { return b.rewrite(body, keepTools) }
