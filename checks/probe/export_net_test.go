package probe

import (
	"io/fs"

	"github.com/serin-go/serin/checks"
)

var (
	Stapled     = stapled
	Nameservers = nameservers
)

// MemoryIn is [Memory] of a host whose files are in fsys.
func MemoryIn(fsys fs.FS, max float64) checks.Check {
	return memoryIn(func() (fs.FS, error) { return fsys, nil }, max)
}

// DNSVia is [DNS] with the servers of /etc/resolv.conf.
func DNSVia(o DNSOptions, servers ...string) checks.Check {
	return dnsOf(o, func() ([]string, error) { return servers, nil })
}

// ParseDNS parses the answer to a query for the records of a type, as text.
func ParseDNS(msg []byte, id uint16, name, kind string) (values []string, ttl uint32, err error) {
	a, err := parseAnswer(msg, id, name, dnsTypes[kind])
	return a.values, a.ttl, err
}

// DiskOf is [Disk] of a file system with these bytes and inodes.
func DiskOf(o DiskOptions, available, used, total, inodesFree, inodes uint64) checks.Check {
	return diskOf(o, func(string) (space, error) { return space{available, used, total, inodesFree, inodes}, nil })
}
