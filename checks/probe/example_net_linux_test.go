package probe_test

import (
	"context"
	"fmt"
	"os"

	"github.com/serin-go/serin/checks/probe"
)

func ExampleDisk() {
	r := probe.Disk(probe.DiskOptions{Path: os.TempDir(), MinFree: 0.001, MinBytes: 1 << 60}).Check(context.Background())
	fmt.Println(r.Status)
	// Output: fail
}

func ExampleMemory() {
	r := probe.Memory(1).Check(context.Background())
	fmt.Println(r.Status)
	// Output: pass
}

func ExampleFiles() {
	r := probe.Files(0.99).Check(context.Background())
	fmt.Println(r.Status)
	// Output: pass
}
