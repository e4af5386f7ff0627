package probe

import (
	"io/fs"

	"github.com/serin-go/serin/checks"
)

var Stapled = stapled

// MemoryIn is [Memory] of a host whose files are in fsys.
func MemoryIn(fsys fs.FS, max float64) checks.Check {
	return memoryIn(func() (fs.FS, error) { return fsys, nil }, max)
}
