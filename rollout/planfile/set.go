package planfile

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Setting replaces one value of a plan file, or adds it: "candidate.version" and "1.6.0".
type Setting struct {
	// Path leads to the value: names of fields, joined by dots, and indexes of lists in
	// brackets from 0, as in "strategy.sequence[1].canary.bake". Objects on the way that
	// are not in the file are added, items of lists are not.
	Path string
	// Value is a scalar without quotes, or a list or an object in YAML or JSON, such as
	// "[1%, 10%, 50%]".
	Value string
}

// ParseSetting returns the setting that "path=value" stands for.
func ParseSetting(s string) (Setting, error) {
	path, value, ok := strings.Cut(s, "=")
	if !ok || path == "" {
		return Setting{}, &Problem{Detail: shown(s), Want: "path=value, such as candidate.version=1.6.0"}
	}
	return Setting{path, value}, nil
}

// apply puts the settings into the file.
func (r *reader) apply(root *node, settings []Setting) {
	for _, s := range settings {
		value, problem := s.value()
		if problem == nil {
			problem = s.put(root, value)
		}
		if problem != nil {
			problem.Path = shown(s.Path)
			r.problems = append(r.problems, problem)
		}
	}
}

// value returns the value of s.
func (s Setting) value() (*node, *Problem) {
	if len(s.Value) > MaxSize {
		return nil, &Problem{Detail: fmt.Sprintf("a setting of %d bytes", len(s.Value)), Want: fmt.Sprintf("up to %d", MaxSize)}
	}
	if problems := badCharacters([]byte(s.Value)); problems != nil {
		return nil, &Problem{Detail: problems[0].Detail, Want: problems[0].Want}
	}
	if !strings.HasPrefix(s.Value, "[") && !strings.HasPrefix(s.Value, "{") {
		return &node{kind: given, value: s.Value}, nil
	}
	var document yaml.Node
	text := yaml.NewDecoder(strings.NewReader(s.Value))
	if err := text.Decode(&document); err != nil || text.Decode(new(yaml.Node)) != io.EOF {
		return nil, &Problem{Detail: shown(s.Value), Want: "a scalar, or a list or an object in YAML"}
	}
	var reader yamlReader
	n := reader.value(document.Content[0], at{}, 1)
	if len(reader.problems) > 0 {
		return nil, &Problem{Detail: reader.problems[0].Detail, Want: reader.problems[0].Want}
	}
	unplace(n)
	return n, nil
}

// unplace removes the lines and columns from n, because they are not places in the file.
func unplace(n *node) {
	n.line, n.column = 0, 0
	for i := range n.members {
		n.members[i].line, n.members[i].column = 0, 0
		unplace(n.members[i].value)
	}
	for _, item := range n.items {
		unplace(item)
	}
}

// step is one part of a path: a name or an index.
type step struct {
	name  string
	index int // -1 for a name
}

// steps returns the parts of the path, or false if it is no path.
func (s Setting) steps() (all []step, ok bool) {
	for part := range strings.SplitSeq(s.Path, ".") {
		name, indexes, indexed := strings.Cut(part, "[")
		if name == "" {
			return nil, false
		}
		all = append(all, step{name, -1})
		if !indexed {
			continue
		}
		inner, closed := strings.CutSuffix(indexes, "]")
		if !closed {
			return nil, false
		}
		for number := range strings.SplitSeq(inner, "][") {
			i, err := strconv.ParseUint(number, 10, 31)
			if err != nil {
				return nil, false
			}
			all = append(all, step{index: int(i)})
		}
	}
	return all, len(all) <= maxDepth
}

// put sets the value in root.
func (s Setting) put(root, value *node) *Problem {
	steps, ok := s.steps()
	if !ok {
		return &Problem{Detail: "no path", Want: "names joined by dots, with indexes in brackets, such as strategy.sequence[1].canary.bake"}
	}
	n := root
	for i, step := range steps {
		last := i == len(steps)-1
		switch {
		case step.index < 0 && n.kind == object:
			next := n.member(step.name)
			if next == nil {
				next = &node{kind: object}
			}
			if last {
				next = value
			}
			n.set(step.name, next)
			n = next
		case step.index >= 0 && n.kind == list && step.index < len(n.items):
			if last {
				n.items[step.index] = value
			}
			n = n.items[step.index]
		case step.index >= 0 && n.kind == list:
			return &Problem{Detail: fmt.Sprintf("index %d of a list of %d", step.index, len(n.items)), Want: "an index of an item"}
		case step.index >= 0:
			return &Problem{Detail: fmt.Sprintf("index %d of %s", step.index, n.describe()), Want: "the index of a list"}
		default:
			return &Problem{Detail: fmt.Sprintf("%s in %s", shown(step.name), n.describe()), Want: "the field of an object"}
		}
	}
	return nil
}
