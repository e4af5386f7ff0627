package model

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// ImportOllama describes a model by an Ollama Modelfile: the base model (FROM, ADAPTER),
// sampling parameters, template, system prompt and licence. The template and the prompts
// are known by their digests. Files is empty, as a Modelfile has no contents; the caller
// sets Files or API, Name and Version. An instruction that is not known, a parameter
// without a value, or a text that does not end is an [*ImportError] with its line.
func ImportOllama(modelfile []byte) (Manifest, error) {
	if len(modelfile) > MaxManifestLength {
		return Manifest{}, &ImportError{Source: "Modelfile", Problem: fmt.Sprintf("too long (have %d bytes, want at most %d)", len(modelfile), MaxManifestLength)}
	}
	p := modelfileParser{rest: strings.ReplaceAll(strings.TrimPrefix(string(modelfile), "\uFEFF"), "\r\n", "\n"), line: 1, parameters: map[string][]string{}}
	for p.rest != "" {
		line := p.line
		if err := p.instruction(); err != nil {
			err.Source, err.Line = "Modelfile", line
			return Manifest{}, err
		}
	}
	if p.m.Base == nil {
		return Manifest{}, &ImportError{Source: "Modelfile", Problem: "no FROM instruction"}
	}
	return p.finish(), nil
}

type modelfileParser struct {
	m          Manifest
	rest       string
	line       int
	parameters map[string][]string
	messages   []string
}

// instruction reads one instruction, a comment or a blank line.
func (p *modelfileParser) instruction() *ImportError {
	line, rest, _ := strings.Cut(p.rest, "\n")
	trimmed := strings.TrimSpace(line)
	if trimmed == "" || trimmed[0] == '#' {
		p.rest = rest
		p.line++
		return nil
	}
	name := trimmed
	if end := strings.IndexAny(trimmed, " \t"); end >= 0 {
		name = trimmed[:end]
	}
	// The value may go over several lines.
	start := strings.Index(p.rest, name) + len(name)
	value, used, ok := modelfileValue(p.rest[start:])
	if !ok {
		return &ImportError{Problem: fmt.Sprintf("%s: the text does not end (want %s)", name, `"""`)}
	}
	p.line += strings.Count(p.rest[:start+used], "\n")
	p.rest = p.rest[start+used:]
	if value == "" {
		return &ImportError{Problem: fmt.Sprintf("%s: no value", clip(name))}
	}
	switch strings.ToUpper(name) {
	case "FROM":
		if p.m.Base != nil {
			return &ImportError{Problem: "FROM: repeated"}
		}
		p.m.Base = &Base{Model: value, Relation: "finetune"}
	case "ADAPTER":
		p.parameters["adapter"] = append(p.parameters["adapter"], value)
	case "PARAMETER":
		key, setting, _ := strings.Cut(value, " ")
		setting = unquote(strings.TrimSpace(setting))
		if setting == "" {
			return &ImportError{Problem: fmt.Sprintf("PARAMETER %s: no value", clip(key))}
		}
		p.parameters[key] = append(p.parameters[key], setting)
	case "TEMPLATE":
		p.m.ChatTemplate.Digest = digestOf([]byte(value))
	case "SYSTEM":
		p.m.Prompts = slices.DeleteFunc(p.m.Prompts, func(f File) bool { return f.Path == "system" })
		p.m.Prompts = append(p.m.Prompts, File{"system", digestOf([]byte(value)), int64(len(value))})
	case "MESSAGE":
		p.messages = append(p.messages, value)
	case "LICENSE":
		p.m.Licenses = append(p.m.Licenses, licenceOf(value))
	case "REQUIRES", "PARSER", "RENDERER":
		p.parameters[strings.ToLower(name)] = []string{value}
	default:
		return &ImportError{Problem: fmt.Sprintf("unknown instruction %q", clip(name))}
	}
	return nil
}

// modelfileValue returns the value at the start of s, which may be quoted, and the number
// of bytes with the line end behind it.
func modelfileValue(s string) (value string, used int, ok bool) {
	line, _, _ := strings.Cut(s, "\n")
	const quotes = `"""`
	at := strings.Index(line, quotes)
	if at < 0 {
		return unquote(strings.TrimSpace(line)), min(len(line)+1, len(s)), true
	}
	before := strings.TrimSpace(line[:at])
	end := strings.Index(s[at+len(quotes):], quotes)
	if end < 0 {
		return "", 0, false
	}
	value = s[at+len(quotes) : at+len(quotes)+end]
	used = at + 2*len(quotes) + end
	tail, _, _ := strings.Cut(s[used:], "\n")
	used = min(used+len(tail)+1, len(s))
	if before != "" { // of MESSAGE and PARAMETER
		value = before + " " + value
	}
	return value + strings.TrimRight(tail, " \t"), used, true
}

func unquote(s string) string {
	if len(s) >= 2 && s[0] == '"' && s[len(s)-1] == '"' {
		return s[1 : len(s)-1]
	}
	return s
}

func (p *modelfileParser) finish() Manifest {
	m := p.m
	if len(p.messages) > 0 {
		text, _ := json.Marshal(p.messages) // strings, which always marshal
		m.Prompts = append(m.Prompts, File{"messages", digestOf(text), int64(len(text))})
	}
	for key, values := range p.parameters {
		n, err := strconv.Atoi(values[len(values)-1])
		switch {
		case key == "num_ctx" && err == nil && n > 0:
			m.ContextWindow = n
		case key == "num_predict" && err == nil && n > 0:
			m.MaxOutput = n
		}
		if m.Sampling == nil {
			m.Sampling = map[string]string{}
		}
		if key == "stop" || key == "adapter" || len(values) > 1 {
			text, _ := json.Marshal(values)
			m.Sampling[key] = string(text)
			continue
		}
		m.Sampling[key] = values[0]
	}
	if len(p.parameters["adapter"]) > 0 {
		m.Base.Relation = "adapter"
	}
	return m
}
