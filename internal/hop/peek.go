//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package hop

import "syscall"

// canPeek reports whether quiet works here. A Transport serves nothing where it does
// not.
const canPeek = true

// quiet reports whether a socket is open in both directions and has nothing to read.
func quiet(fd uintptr) bool {
	var one [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), one[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err != syscall.EINTR {
			return err == syscall.EAGAIN || err == syscall.EWOULDBLOCK
		}
	}
}
