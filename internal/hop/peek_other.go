//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package hop

const canPeek = false

func quiet(uintptr) bool { return false }
