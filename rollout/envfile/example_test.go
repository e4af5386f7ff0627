package envfile_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/serin-go/serin/rollout/envfile"
)

func ExampleRead() {
	dir, err := os.MkdirTemp("", "envfile")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "service.json")
	if err := os.WriteFile(name, []byte("{\n\t\"DRAIN\": \"10m\",\n\t\"DRAIN_DELAI\": \"15s\"\n}\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	file, err := envfile.Read(name)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(file.Lookup("DRAIN"))
	fmt.Println(file.Unused() != nil)
	// Output:
	// 10m true
	// true
}
