package registry_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/serin-go/serin/versioning"
	"github.com/serin-go/serin/versioning/registry"
	"github.com/serin-go/serin/versioning/registry/registrytest"
)

func TestMemory(t *testing.T) {
	registrytest.Exercise(t, func(*testing.T) registry.Registry {
		return registry.NewMemory(registry.Options{MinNotice: registrytest.Notice})
	})
}

func open(t *testing.T, path string) *registry.File {
	t.Helper()
	f, err := registry.OpenFile(path, registry.Options{MinNotice: registrytest.Notice})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestFile(t *testing.T) {
	registrytest.Exercise(t, func(t *testing.T) registry.Registry {
		return open(t, filepath.Join(t.TempDir(), "models.json"))
	})
}

func TestFileSurvives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "models.json")
	k := registry.Key{Name: "chat", Version: versioning.MustParse("1.0.0"), Variant: "int8"}
	digest := "sha256:" + strings.Repeat("a", 64)
	f := open(t, path)
	if err := errors.Join(f.Register(t.Context(), k, digest), f.SetAlias(t.Context(), "chat", registry.Champion, registry.Key{}, k)); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.OpenFile(path, registry.Options{}); !errors.Is(err, fs.ErrExist) || !errors.Is(err, registry.ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if err := f.Yank(t.Context(), k, "x"); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after closing: %v", err)
	}
	again := open(t, path)
	if got, err := again.Alias(t.Context(), "chat", registry.Champion); err != nil || got.Key != k || got.Digest != digest {
		t.Errorf("%+v, %v", got, err)
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 2 {
		t.Errorf("files left behind: %v, %v", files, err)
	}
}

// TestMain plays a process that is killed while it registers builds.
func TestMain(m *testing.M) {
	path := os.Getenv("SERIN_REGISTRY_KILLED")
	if path == "" {
		os.Exit(m.Run())
	}
	f, err := registry.OpenFile(path, registry.Options{})
	for i := 0; err == nil; i++ {
		k := registry.Key{Name: "chat", Version: versioning.MustParse(fmt.Sprintf("1.%d.%d", os.Getpid(), i))}
		if err = f.Register(context.Background(), k, "sha256:"+strings.Repeat("a", 64)); err == nil {
			fmt.Println(k)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// TestKilledProcesses: after a kill the next process opens the file, with everything
// that was acknowledged and nothing left behind.
func TestKilledProcesses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "models.json")
	var acknowledged []string
	for range 20 {
		process := exec.Command(os.Args[0])
		process.Env = append(os.Environ(), "SERIN_REGISTRY_KILLED="+path)
		out, err := process.StdoutPipe()
		if err != nil || process.Start() != nil {
			t.Fatal("the process does not start")
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < 3 && lines.Scan(); n++ {
			acknowledged = append(acknowledged, lines.Text())
		}
		if _, err := registry.OpenFile(path, registry.Options{}); !errors.Is(err, registry.ErrLocked) {
			t.Errorf("opened beside another process: %v", err)
		}
		_ = process.Process.Kill()
		_ = process.Wait()
	}
	if err := os.WriteFile(path+".tmp", []byte("half a reg"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := open(t, path)
	records, err := f.List(t.Context(), "chat")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, r := range records {
		there[r.Key.String()] = true
	}
	for _, k := range acknowledged {
		if !there[k] {
			t.Errorf("%s was acknowledged and is lost", k)
		}
	}
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 2 || len(acknowledged) != 60 {
		t.Errorf("%d acknowledged; files left behind: %v, %v", len(acknowledged), files, err)
	}
}

func TestFileThatCannotBeWrittenChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sub")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	f := open(t, filepath.Join(dir, "models.json"))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	k := registry.Key{Name: "chat", Version: versioning.MustParse("1.0.0")}
	if err := f.Register(t.Context(), k, "sha256:"+strings.Repeat("a", 64)); err == nil {
		t.Error("written to nowhere")
	}
	if _, err := f.Get(t.Context(), k); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("kept what was not written: %v", err)
	}
}

func TestBadFiles(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON": "{", "surplus": `{"format":1,"records":null,"aliases":null}{}`, "format": `{"format":2,"records":null,"aliases":null}`, "unknown": `{"format":1,"x":1}`,
		"digest": `{"format":1,"records":[{"name":"a","version":"1.0.0","digest":"x"}],"aliases":null}`,
	} {
		path := filepath.Join(t.TempDir(), "models.json")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the lock does not stay behind
			if _, err := registry.OpenFile(path, registry.Options{}); err == nil || errors.Is(err, fs.ErrExist) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func ExamplePromote() {
	r := registry.NewMemory(registry.Options{})
	rc := registry.Key{Name: "chat", Version: versioning.MustParse("2.0.0-rc.1")}
	_ = r.Register(context.Background(), rc, "sha256:"+strings.Repeat("a", 64))
	final, err := registry.Promote(context.Background(), r, rc)
	fmt.Println(final, err)
	// Output: chat@2.0.0 <nil>
}
