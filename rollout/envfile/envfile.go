// Package envfile reads the settings of a service from a JSON configuration file, by the
// names of environment variables, for go-envconfig.
//
// The fields of all Config types of this module have the tags of
// github.com/sethvargo/go-envconfig. With a [File] as its Lookuper, one struct takes its
// values from the environment and from a file:
//
//	{
//		"STABLE_URL": "http://chat-1-4:8000",
//		"STABLE_KEY": "${VENDOR_KEY}",
//		"DRAIN": "10m"
//	}
//
// A program that starts with a misspelt setting does something else than its operator
// wants. So a member that the program does not ask for is an error, which names the line:
//
//	file, err := envfile.Read("service.json")
//	...
//	err = envconfig.ProcessWith(ctx, &envconfig.Config{Target: &cfg, Lookuper: file})
//	err = errors.Join(err, file.Unused())
//
// # Dependencies
//
// The standard library; of this module checks.
package envfile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"

	"github.com/serin-go/serin/checks"
)

// File holds the members of a configuration file. It may be used by one goroutine at a
// time. The zero File has no members; it looks up the environment alone.
type File struct {
	members map[string]member
}

type member struct {
	value, place string // place is the name of the file and the line
	used         bool
}

// reference is a variable of the environment in a value.
var reference = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*\}`)

// Read reads a file: an object whose members are strings, numbers or booleans. In strings
// ${NAME} stands for a variable of the environment, which must be set and not empty. The
// empty name returns a File without members. Errors are joined [*checks.InvalidError]
// values, whose field is the place of the member, such as service.json:3; the error of a
// file that is not JSON, with its place; and the error of opening the file.
func Read(name string) (*File, error) {
	f := &File{members: make(map[string]member)}
	if name == "" {
		return f, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("envfile: %w", err)
	}
	if err := f.parse(name, text); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) parse(name string, text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	place := name + ":1"
	var broken error
	next := func() (t json.Token) {
		if broken != nil {
			return nil
		}
		t, broken = d.Token()
		offset := d.InputOffset()
		if syntax := (*json.SyntaxError)(nil); errors.As(broken, &syntax) {
			offset = max(offset, syntax.Offset)
		}
		place = fmt.Sprintf("%s:%d", name, 1+bytes.Count(text[:min(offset, int64(len(text)))], []byte("\n")))
		return t
	}
	if t := next(); t != json.Delim('{') && broken == nil {
		return &checks.InvalidError{Package: "envfile", Field: place, Value: fmt.Sprint(t), Want: "an object"}
	}
	var errs []error
	for broken == nil && d.More() {
		key, _ := next().(string)
		at := place
		bad := func(value any, want string) {
			errs = append(errs, &checks.InvalidError{Package: "envfile", Field: at + ": " + key, Value: value, Want: want})
		}
		value := next()
		if _, nested := value.(json.Delim); nested || value == nil && broken == nil {
			bad(fmt.Sprint(value), "a string, a number or a boolean")
			return errors.Join(errs...)
		}
		if _, twice := f.members[key]; twice {
			bad("a second time", "one member of this name")
		}
		v := reference.ReplaceAllStringFunc(fmt.Sprint(value), func(ref string) string {
			env := os.Getenv(ref[2 : len(ref)-1])
			if env == "" {
				bad(ref, "a variable that is set")
			}
			return env
		})
		f.members[key] = member{value: v, place: at}
	}
	if next(); broken == nil {
		if _, broken = d.Token(); broken == io.EOF {
			return errors.Join(errs...)
		}
		broken = errors.New("something follows the object")
	}
	if broken == io.EOF {
		broken = io.ErrUnexpectedEOF
	}
	return errors.Join(append(errs, fmt.Errorf("envfile: %s: %w", place, broken))...)
}

// Lookup returns the variable of the environment with this name, or the member of the file
// if the variable is not set or empty. It implements the Lookuper of go-envconfig.
func (f *File) Lookup(name string) (string, bool) {
	m, ok := f.members[name]
	if ok {
		m.used = true
		f.members[name] = m
	}
	if env := os.Getenv(name); env != "" {
		return env, true
	}
	return m.value, ok
}

// Unused returns a [*checks.InvalidError] for each member that Lookup was not asked for,
// joined, or nil.
func (f *File) Unused() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(f.members)) {
		if m := f.members[name]; !m.used {
			errs = append(errs, &checks.InvalidError{Package: "envfile", Field: m.place, Value: fmt.Sprintf("member %q", name), Want: "the name of a setting"})
		}
	}
	return errors.Join(errs...)
}
