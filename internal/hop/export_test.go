package hop

import "time"

// Quiet is quiet for tests.
var Quiet = quiet

// SetIdle sets how many idle connections are kept, and for how long, until the
// returned function is called.
func SetIdle(n int, d time.Duration) (restore func()) {
	oldMax, oldTimeout := maxIdle, idleTimeout
	maxIdle, idleTimeout = n, d
	return func() { maxIdle, idleTimeout = oldMax, oldTimeout }
}
