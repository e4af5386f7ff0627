package probe

import (
	"os"
	"syscall"
)

// diskSpace reads the space of the file system that holds path.
func diskSpace(path string) (space, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(path, &s); err != nil {
		return space{}, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	block := uint64(s.Frsize)
	if block == 0 {
		block = uint64(s.Bsize)
	}
	return space{
		available: s.Bavail * block, used: (s.Blocks - s.Bfree) * block, total: s.Blocks * block,
		inodesFree: s.Ffree, inodes: s.Files,
	}, nil
}

// fileLimit returns the number of descriptors that this process may open.
func fileLimit() (uint64, error) {
	var r syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r)
	return r.Cur, os.NewSyscallError("getrlimit", err)
}
