package planfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// yamlReader makes nodes of YAML.
type yamlReader struct{ problems []*Problem }

func parseYAML(body []byte) (*node, []*Problem) {
	var r yamlReader
	r.tabs(body)
	d := yaml.NewDecoder(bytes.NewReader(body))
	var document, second yaml.Node
	if err := d.Decode(&document); err != nil {
		if len(r.problems) == 0 { // tabs are reported in better words
			r.fail(body, err)
		}
		return nil, r.problems
	}
	if err := d.Decode(&second); err == nil {
		r.report(&second, at{}, "a second document", "one plan")
	} else if !errors.Is(err, io.EOF) {
		r.fail(body, err)
	}
	return r.value(document.Content[0], at{}, 1), r.problems
}

// tabs reports the tabs in body, whose width differs between programs.
func (r *yamlReader) tabs(body []byte) {
	for number, line := range bytes.Split(body, []byte{'\n'}) {
		if i := bytes.IndexByte(line, '\t'); i >= 0 && len(r.problems) < maxProblems {
			_, column := position(line, i)
			r.problems = append(r.problems, &Problem{Line: number + 1, Column: column, Detail: "a tab", Want: `spaces, or "\t" in a quoted text`})
		}
	}
}

var yamlLine = regexp.MustCompile(`^(?:line (\d+): )?(.*)$`)

var unknownAnchor = regexp.MustCompile(`^unknown anchor '(.+)' referenced`)

// fail reports an error of the YAML parser, which names lines, but no columns.
func (r *yamlReader) fail(body []byte, err error) {
	if errors.Is(err, io.EOF) {
		r.problems = append(r.problems, &Problem{Line: 1, Column: 1, Detail: "no plan", Want: "an object"})
		return
	}
	parts := yamlLine.FindStringSubmatch(strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\n", " "), "yaml: "))
	line, column := 1, 1
	if number, err := strconv.Atoi(parts[1]); err == nil {
		line = number
		if strings.HasPrefix(parts[2], "did not find expected") {
			line++ // the parser counts these lines from 0
		}
	}
	if alias := unknownAnchor.FindStringSubmatch(parts[2]); alias != nil {
		line, _ = position(body, max(0, bytes.Index(body, []byte("*"+alias[1]))))
	}
	lines := bytes.Split(body, []byte{'\n'})
	line = min(line, len(lines))
	if here := lines[line-1]; len(bytes.TrimSpace(here)) > 0 {
		column += len(here) - len(bytes.TrimLeft(here, " \t"))
	}
	r.problems = append(r.problems, &Problem{Line: line, Column: column, Detail: shown(parts[2]), Want: "YAML"})
}

func (r *yamlReader) report(y *yaml.Node, a at, detail, want string) {
	r.problems = append(r.problems, &Problem{Line: y.Line, Column: y.Column, Pointer: a.pointer, Path: a.path, Detail: detail, Want: want})
}

// value returns y as a node. What a plan may not have is reported, and becomes null.
func (r *yamlReader) value(y *yaml.Node, a at, depth int) *node {
	n := &node{kind: null, line: y.Line, column: y.Column}
	switch {
	case y.Anchor != "":
		r.report(y, a, "the anchor "+shown("&"+y.Anchor), "a plan that is what it says")
	case y.Style&yaml.TaggedStyle != 0:
		r.report(y, a, "the tag "+shown(y.Tag), "a value without a tag")
		n.reported = true
	}
	switch y.Kind {
	case yaml.AliasNode:
		r.report(y, a, "the alias "+shown("*"+y.Value), "the value itself")
		n.reported = true
	case yaml.MappingNode, yaml.SequenceNode:
		if depth > maxDepth {
			r.report(y, a, fmt.Sprintf("more than %d levels", maxDepth), "fewer levels")
			return n
		}
		r.fill(n, y, a, depth)
	case yaml.ScalarNode:
		n.kind, n.value = scalarKind(y), y.Value
	}
	return n
}

// fill puts the members or items of y into n.
func (r *yamlReader) fill(n *node, y *yaml.Node, a at, depth int) {
	if y.Kind == yaml.SequenceNode {
		n.kind = list
		for i, item := range y.Content {
			n.items = append(n.items, r.value(item, a.item(i), depth+1))
		}
		return
	}
	n.kind = object
	for i := 0; i+1 < len(y.Content); i += 2 {
		key, value := y.Content[i], y.Content[i+1]
		inner := a.under("", key.Value)
		switch {
		case key.Tag == "!!merge":
			r.report(key, inner, "a merge key", "the fields themselves")
			continue
		case key.Kind != yaml.ScalarNode:
			r.report(key, a, "a name that is not a text", "the name of a field")
			continue
		case key.Anchor != "":
			r.report(key, inner, "the anchor "+shown("&"+key.Anchor), "a plan that is what it says")
		case key.Style&yaml.TaggedStyle != 0:
			r.report(key, inner, "the tag "+shown(key.Tag), "a name without a tag")
		}
		n.members = append(n.members, member{name: key.Value, line: key.Line, column: key.Column, value: r.value(value, inner, depth+1)})
	}
}

// scalarKind returns what the plain or quoted scalar y is.
func scalarKind(y *yaml.Node) kind {
	switch y.Tag {
	case "!!int", "!!float":
		return number
	case "!!bool":
		return boolean
	case "!!null":
		return null
	}
	return text // times too, which are read where they are expected
}
