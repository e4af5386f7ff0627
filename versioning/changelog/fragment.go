package changelog

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

// MaxFragmentLength is the maximum length of a fragment in bytes.
const MaxFragmentLength = 64 << 10

// Fragment is one changelog entry in a file of its own, so that branches do not
// edit the same lines. The file name is NAME.SECTION.md, "123.fixed.md" or
// "faster-parser.added.md", where NAME is free, such as an issue number. The text
// is the entry.
type Fragment struct {
	Path    string // of the file, with slashes, relative to the file system
	Name    string // "123"
	Section string // "Fixed"
	Text    string
}

// ParseFragment parses one fragment. It returns an error if the name is not
// NAME.SECTION.md, or if the text is empty, not UTF-8 or longer than
// [MaxFragmentLength].
func ParseFragment(file string, text []byte) (Fragment, error) {
	f := Fragment{Path: file}
	base, isMarkdown := strings.CutSuffix(path.Base(file), ".md")
	dot := strings.LastIndexByte(base, '.')
	if !isMarkdown || dot <= 0 {
		return f, fmt.Errorf("changelog: fragment: wrong file name (have %q, want NAME.SECTION.md, such as 123.fixed.md)", file)
	}
	f.Name = base[:dot]
	i := sectionRank(base[dot+1:])
	if i == len(Sections()) {
		return f, fmt.Errorf("changelog: fragment %q: unknown section (have %q, want one of %s)", file, base[dot+1:], strings.ToLower(strings.Join(Sections(), ", ")))
	}
	f.Section = Sections()[i]
	if len(text) > MaxFragmentLength {
		return f, errFragmentLength(file, int64(len(text)))
	}
	if !utf8.Valid(text) {
		return f, fmt.Errorf("changelog: fragment %q: text is not valid UTF-8", file)
	}
	f.Text = strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n"))
	f.Text = strings.TrimSpace(f.Text[bullet(f.Text):])
	if f.Text == "" {
		return f, fmt.Errorf("changelog: fragment %q: text is empty", file)
	}
	return f, nil
}

func errFragmentLength(file string, n int64) error {
	return fmt.Errorf("changelog: fragment %q: too long (have %d bytes, want at most %d)", file, n, MaxFragmentLength)
}

// CollectFragments reads all fragments of a directory in the order of their
// names. It ignores README.md and files whose name begins with a dot. If the
// directory does not exist, it returns nil. It returns the valid fragments, and
// joins the errors of the others.
func CollectFragments(fsys fs.FS, dir string) ([]Fragment, error) {
	files, err := fs.ReadDir(fsys, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("changelog: collect fragments: %w", err)
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
		return Fragment{}, errFragmentLength(name, info.Size())
	}
	text, err := fs.ReadFile(fsys, name)
	if err != nil {
		return Fragment{}, fmt.Errorf("changelog: collect fragments: %w", err)
	}
	return ParseFragment(name, text)
}

// AddFragments adds fragments to the unreleased changes. It returns the first
// error of [Changelog.Add].
func (c *Changelog) AddFragments(fragments []Fragment) error {
	for _, f := range fragments {
		if err := c.add(f.Section, f.Text); err != nil {
			return fmt.Errorf("changelog: fragment %q: %w", f.Path, err)
		}
	}
	return nil
}

// RemoveFragments deletes the files of fragments that were collected from
// os.DirFS(root). Call it after the changelog has been written. It ignores files
// that do not exist. It returns an error for a path outside root.
func RemoveFragments(root string, fragments []Fragment) error {
	var problems []error
	for _, f := range fragments {
		if !filepath.IsLocal(filepath.FromSlash(f.Path)) {
			problems = append(problems, fmt.Errorf("changelog: fragment: path outside of the root (have %q, want a path within %q)", f.Path, root))
			continue
		}
		err := os.Remove(filepath.Join(root, filepath.FromSlash(f.Path)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			problems = append(problems, fmt.Errorf("changelog: remove fragment: %w", err))
		}
	}
	return errors.Join(problems...)
}

// FragmentEntries converts fragments into unreleased commits. They are a [Source]
// for [ReadHistory], which gives the next version. A text that begins with
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
