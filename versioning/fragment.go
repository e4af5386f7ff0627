package versioning

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxFragmentLength is the length in bytes of the longest fragment.
const MaxFragmentLength = 64 << 10

// Fragment is one change, told in a file of its own so that two branches never
// edit the same lines. The file's name says where it belongs: "123.fixed.md" or
// "faster-parser.added.md" are named after an issue or anything else, and then
// after the section. Its text is the entry.
type Fragment struct {
	Path    string // of the file, with slashes, within what was collected from
	Name    string // "123"
	Section string // "Fixed"
	Text    string
}

// ParseFragment reads one fragment. Errors name the file and what would be
// accepted.
func ParseFragment(file string, text []byte) (Fragment, error) {
	f := Fragment{Path: file}
	base, isMarkdown := strings.CutSuffix(path.Base(file), ".md")
	dot := strings.LastIndexByte(base, '.')
	if !isMarkdown || dot <= 0 {
		return f, fmt.Errorf("versioning: %q is not the name of a fragment, want NAME.SECTION.md, such as 123.fixed.md", file)
	}
	f.Name = base[:dot]
	i := sectionRank(base[dot+1:])
	if i == len(Sections()) {
		return f, fmt.Errorf("versioning: fragment %q: %q is not a section, want one of %s", file, base[dot+1:], strings.ToLower(strings.Join(Sections(), ", ")))
	}
	f.Section = Sections()[i]
	if len(text) > MaxFragmentLength {
		return f, fmt.Errorf("versioning: fragment %q has %d bytes, want at most %d", file, len(text), MaxFragmentLength)
	}
	if !utf8.Valid(text) {
		return f, fmt.Errorf("versioning: fragment %q is not UTF-8", file)
	}
	f.Text = strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n"))
	f.Text = strings.TrimSpace(f.Text[bullet(f.Text):])
	if f.Text == "" {
		return f, fmt.Errorf("versioning: fragment %q is empty", file)
	}
	return f, nil
}

// CollectFragments reads all fragments of a directory, in the order of their
// names. Files whose name begins with a dot, and READMEs, are passed over. A
// directory that does not exist has none. What is wrong with any of them is
// reported together; the good ones are returned nevertheless.
func CollectFragments(fsys fs.FS, dir string) ([]Fragment, error) {
	files, err := fs.ReadDir(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("versioning: collecting fragments: %w", err)
	}
	var fragments []Fragment
	var problems []error
	for _, file := range files {
		if file.IsDir() || strings.HasPrefix(file.Name(), ".") || strings.EqualFold(file.Name(), "README.md") {
			continue
		}
		name := path.Join(dir, file.Name())
		f, err := readFragment(fsys, name)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		fragments = append(fragments, f)
	}
	return fragments, errors.Join(problems...)
}

func readFragment(fsys fs.FS, name string) (Fragment, error) {
	info, err := fs.Stat(fsys, name)
	if err == nil && info.Size() > MaxFragmentLength {
		return Fragment{}, fmt.Errorf("versioning: fragment %q has %d bytes, want at most %d", name, info.Size(), MaxFragmentLength)
	}
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return Fragment{}, fmt.Errorf("versioning: collecting fragments: %w", err)
	}
	return ParseFragment(name, text)
}

// AddFragments adds fragments to what is unreleased.
func (c *Changelog) AddFragments(fragments []Fragment) error {
	for _, f := range fragments {
		if err := c.Add(f.Section, f.Text); err != nil {
			return fmt.Errorf("versioning: fragment %q: %w", f.Path, err)
		}
	}
	return nil
}

// RemoveFragments deletes the files of fragments that were collected from
// os.DirFS(root), once they are in a changelog that has been written. A file
// that is gone already is no error.
func RemoveFragments(root string, fragments []Fragment) error {
	var problems []error
	for _, f := range fragments {
		if !filepath.IsLocal(filepath.FromSlash(f.Path)) {
			problems = append(problems, fmt.Errorf("versioning: fragment %q is not within %q", f.Path, root))
			continue
		}
		err := os.Remove(filepath.Join(root, filepath.FromSlash(f.Path)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, fmt.Errorf("versioning: removing fragment: %w", err))
		}
	}
	return errors.Join(problems...)
}

// FragmentEntries makes unreleased commits of fragments, so that they can be the
// [Source] from which the next version is inferred. A text that begins with
// "**Breaking:**" is a breaking change.
func FragmentEntries(fragments []Fragment) Entries {
	types := map[string]string{"Added": "feat", "Changed": "change", "Deprecated": "deprecate", "Removed": "remove", "Fixed": "fix", "Security": "security"}
	var entries Entries
	for _, f := range slices.Backward(fragments) {
		text, breaking := strings.CutPrefix(f.Text, "**Breaking:**")
		header, body, _ := strings.Cut(strings.TrimSpace(text), "\n")
		mark := ""
		if breaking {
			mark = "!"
		}
		entries = append(entries, Entry{Hash: f.Name, Message: types[f.Section] + mark + ": " + header + "\n\n" + body})
	}
	return entries
}
