package envfile_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sethvargo/go-envconfig"

	"github.com/serin-go/serin/checks"
	"github.com/serin-go/serin/rollout/envfile"
)

type config struct {
	URL   string        `env:"ENVFILE_URL"`
	Key   string        `env:"ENVFILE_KEY"`
	Drain time.Duration `env:"ENVFILE_DRAIN, default=10m"`
	Size  int           `env:"ENVFILE_SIZE"`
	Open  bool          `env:"ENVFILE_OPEN"`
}

// read has a config read from a file with this text.
func read(t *testing.T, text string) (c config, err error) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "c.json")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := envfile.Read(name)
	if err != nil {
		return c, err
	}
	err = envconfig.ProcessWith(t.Context(), &envconfig.Config{Target: &c, Lookuper: f})
	return c, errors.Join(err, f.Unused())
}

func TestRead(t *testing.T) {
	t.Setenv("ENVFILE_SECRET", "s3")
	for name, tt := range map[string]struct {
		text string
		env  string // ENVFILE_URL
		want config
	}{
		"empty":       {`{}`, "", config{Drain: 10 * time.Minute}},
		"all":         {`{"ENVFILE_URL": "u", "ENVFILE_KEY": "a ${ENVFILE_SECRET} $x", "ENVFILE_DRAIN": "3s", "ENVFILE_SIZE": 12345678901, "ENVFILE_OPEN": true}`, "", config{"u", "a s3 $x", 3 * time.Second, 12345678901, true}},
		"environment": {`{"ENVFILE_URL": "u"}`, "v", config{URL: "v", Drain: 10 * time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("ENVFILE_URL", tt.env)
			got, err := read(t, tt.text)
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	var none config
	f, err := envfile.Read("")
	if err == nil {
		err = envconfig.ProcessWith(t.Context(), &envconfig.Config{Target: &none, Lookuper: f})
	}
	if err := errors.Join(err, f.Unused()); err != nil || none.Drain != 10*time.Minute {
		t.Errorf("without a file: %+v, %v", none, err)
	}
	if v, ok := new(envfile.File).Lookup("ENVFILE_SECRET"); v != "s3" || !ok {
		t.Errorf("the zero File: %q, %t", v, ok)
	}
}

func TestInvalidFiles(t *testing.T) {
	for text, want := range map[string][]string{ // the ends of the fields; nil for an error of package json
		"": nil, "{": nil, `{"a"`: nil, `{"a":}`: nil, `{"ENVFILE_URL":"u"} {}`: nil, "{\n\"a\" 1}": nil,
		"\n[]": {":2"}, `"a"`: {":1"}, "{\n\"ENVFILE_URL\": {}}": {":2: ENVFILE_URL"}, `{"ENVFILE_URL": null}`: {":1: ENVFILE_URL"}, `{"ENVFILE_URL": ["u"]}`: {":1: ENVFILE_URL"},
		"{\n\n\"ENVFILE_KEY\": \"${ENVFILE_NONE}\"\n}":                             {":3: ENVFILE_KEY"},
		"{\"ENVFILE_URL\": \"u\",\n\"ENVFILE_URL\": \"v\"}":                        {":2: ENVFILE_URL"},
		"{\n\"ENVFILE_URL\": \"ENVFILE_URI\",\n\"ENVFILE_URI\": \"u\",\n\"b\": 1}": {":3", ":4"},
	} {
		_, err := read(t, text)
		var fields []string
		for bad := range checks.Invalid(err) {
			fields = append(fields, bad.Field[len(bad.Field)-min(len(bad.Field), len(last(want, len(fields)))):])
		}
		if diff := cmp.Diff(want, fields); err == nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", text, err, diff)
		}
	}
	if _, err := envfile.Read(filepath.Join(t.TempDir(), "none.json")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the file: %v", err)
	}
}

// last returns the entry of all with this index, or a text that is longer than any field.
func last(all []string, i int) string {
	if i < len(all) {
		return all[i]
	}
	return fmt.Sprintf("%4096d", 0)
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"a": "${HOME}", "b": 1e3, "c": [{}]}`))
	f.Add([]byte("{\n\"a\": 1\n,"))
	f.Fuzz(func(t *testing.T, text []byte) {
		name := filepath.Join(t.TempDir(), "c.json")
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if file, err := envfile.Read(name); (file == nil) != (err != nil) {
			t.Errorf("%v, %v", file, err)
		}
	})
}
