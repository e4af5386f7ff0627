package traffic

// BodyMemoryUsed returns what the bodies of requests take now.
func (r *Router) BodyMemoryUsed() int64 { return r.bodies.used.Load() }

// WithoutTools is withoutTools, for tests.
func WithoutTools(body []byte) []byte { return withoutTools(body) }

// PendingCopies returns how many copies wait or are under way.
func (r *Router) PendingCopies() int64 { return r.mirroring.pending.Load() }
