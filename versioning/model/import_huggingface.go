package model

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"path"
	"slices"
	"strings"
)

const (
	maxImportedJSON   = 64 << 20 // of one file; tokenizers are large
	maxSafetensorHead = 100 << 20
)

// ImportHuggingFace describes a model in the layout of Hugging Face: a folder with
// config.json, generation_config.json, the files of a tokenizer and safetensors, or the
// folder of a model in the cache, "models--org--name", where the files of a snapshot are
// links to blobs. fsys must contain the targets of the links, and have ReadLink if there
// are any; os.DirFS has.
//
// It hashes all files, reads architecture, context window, vocabulary, precision,
// quantization, chat template and sampling parameters, and counts the parameters in the
// headers of the safetensors. Name is set from the folder in a cache only. The caller
// sets Version, and other fields. Errors are [*ImportError] values or errors of fsys.
func ImportHuggingFace(ctx context.Context, fsys fs.FS, root string) (Manifest, error) {
	var m Manifest
	folder := root
	if name, cached := strings.CutPrefix(path.Base(root), "models--"); cached {
		m.Name = strings.ReplaceAll(name, "--", "/")
		revision, err := fs.ReadFile(fsys, path.Join(root, "refs", "main"))
		if err != nil {
			return Manifest{}, fmt.Errorf("model: import Hugging Face: %w", err)
		}
		folder = path.Join(root, "snapshots", strings.TrimSpace(string(revision)))
		if !fs.ValidPath(folder) || path.Dir(folder) != path.Join(root, "snapshots") {
			return Manifest{}, &ImportError{Source: "refs/main", Problem: fmt.Sprintf("not the name of a snapshot (have %q)", clip(string(revision)))}
		}
	}
	h := huggingFace{fsys: fsys, real: map[string]string{}}
	if err := h.list(root, folder); err != nil {
		return Manifest{}, err
	}
	buf := make([]byte, 1<<20)
	for _, name := range h.names {
		digest, size, err := hashFile(ctx, fsys, h.real[name], buf)
		if err != nil {
			return Manifest{}, fmt.Errorf("model: import Hugging Face: %w", err)
		}
		m.Files = append(m.Files, File{name, digest, size})
	}
	if err := errors.Join(h.config(&m), h.tokenizer(&m), h.generation(&m), h.weights(&m), h.card(&m)); err != nil {
		return Manifest{}, err
	}
	return m, nil
}

type huggingFace struct {
	fsys  fs.FS
	names []string          // sorted, relative to the folder
	real  map[string]string // the file behind a name
}

// list lists the files. A link must lead to a regular file below root.
func (h *huggingFace) list(root, folder string) error {
	err := fs.WalkDir(h.fsys, folder, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(strings.TrimPrefix(p, folder), "/")
		switch {
		case d.IsDir() && (d.Name() == ".git" || d.Name() == ".cache"):
			return fs.SkipDir
		case d.IsDir():
			return nil
		case folder == ".":
			name = p
		}
		real := p
		if d.Type()&fs.ModeSymlink != 0 {
			target, err := fs.ReadLink(h.fsys, p)
			if err != nil {
				return err
			}
			real = path.Join(path.Dir(p), target)
			if path.IsAbs(target) || !fs.ValidPath(real) || root != "." && !strings.HasPrefix(real, root+"/") {
				return &ImportError{Source: name, Problem: fmt.Sprintf("link out of the folder (have %q)", clip(target))}
			}
			info, err := fs.Lstat(h.fsys, real)
			if err != nil {
				return err
			}
			if !info.Mode().IsRegular() {
				return &ImportError{Source: name, Problem: "link to what is not a regular file"}
			}
		} else if !d.Type().IsRegular() {
			return &ImportError{Source: name, Problem: "not a regular file"}
		}
		if !validPath(name) {
			return &ImportError{Source: clip(name), Problem: "not a valid path in a manifest"}
		}
		h.names, h.real[name] = append(h.names, name), real
		return nil
	})
	slices.Sort(h.names)
	if err == nil && len(h.names) == 0 {
		err = &ImportError{Source: "Hugging Face", Problem: "the folder is empty"}
	}
	if problem := (*ImportError)(nil); err != nil && !errors.As(err, &problem) {
		err = fmt.Errorf("model: import Hugging Face: %w", err)
	}
	return err
}

// read returns a file, or nil if it does not exist.
func (h *huggingFace) read(name string, err *error) []byte {
	real, there := h.real[name]
	if !there || *err != nil {
		return nil
	}
	f, openErr := h.fsys.Open(real)
	if openErr != nil {
		*err = fmt.Errorf("model: import Hugging Face: %w", openErr)
		return nil
	}
	defer f.Close()
	text, readErr := io.ReadAll(io.LimitReader(f, maxImportedJSON+1))
	switch {
	case readErr != nil:
		*err = fmt.Errorf("model: import Hugging Face: %w", readErr)
	case len(text) > maxImportedJSON:
		*err = &ImportError{Source: name, Problem: fmt.Sprintf("too long (want at most %d bytes)", maxImportedJSON)}
	}
	return text
}

func (h *huggingFace) json(name string, err *error) object {
	text := h.read(name, err)
	if text == nil {
		return object{source: name, fields: map[string]any{}, err: err}
	}
	return importJSON(name, text, err)
}

func (h *huggingFace) config(m *Manifest) (err error) {
	c := h.json("config.json", &err)
	if names := c.texts("architectures"); len(names) > 0 {
		m.Architecture = names[0]
	}
	m.Family = c.text("model_type")
	text := c
	if c.fields["text_config"] != nil { // of a model with several modalities
		text = c.object("text_config")
	}
	m.ContextWindow = text.count("max_position_embeddings")
	m.Tokenizer.VocabSize = text.count("vocab_size")
	for _, o := range []object{c, text} {
		for _, field := range []string{"dtype", "torch_dtype"} {
			if m.Precision == "" {
				m.Precision = o.text(field)
			}
		}
	}
	m.Quantization = c.object("quantization_config").text("quant_method")
	if len(c.fields) > 0 {
		m.InputTypes, m.OutputTypes = []string{"text"}, []string{"text"}
	}
	if c.fields["vision_config"] != nil {
		m.InputTypes = append(m.InputTypes, "image")
	}
	if c.fields["audio_config"] != nil {
		m.InputTypes = append(m.InputTypes, "audio")
	}
	return err
}

// tokenizerFiles are the files that decide how text becomes tokens.
var tokenizerFiles = []string{"tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "merges.txt", "added_tokens.json", "special_tokens_map.json", "tekken.json"}

func (h *huggingFace) tokenizer(m *Manifest) (err error) {
	var files []File
	for _, f := range m.Files {
		if slices.Contains(tokenizerFiles, f.Path) {
			files = append(files, f)
		}
	}
	if len(files) > 0 {
		m.Tokenizer.Digest = FilesDigest(files)
	}
	c := h.json("tokenizer_config.json", &err)
	m.Tokenizer.Name = c.text("tokenizer_class")
	template := string(h.read("chat_template.jinja", &err))
	if template == "" {
		switch v := c.fields["chat_template"].(type) {
		case nil:
		case string:
			template = v
		default: // several templates by name
			template = string(appendCanonical(nil, v))
		}
	}
	if template != "" {
		m.ChatTemplate.Digest = digestOf([]byte(template))
	}
	for _, name := range []string{"bos_token", "eos_token", "pad_token", "unk_token"} {
		token := ""
		switch v := c.fields[name].(type) {
		case string:
			token = v
		case map[string]any:
			token, _ = v["content"].(string)
		}
		if token != "" && !slices.Contains(m.ChatTemplate.SpecialTokens, token) {
			m.ChatTemplate.SpecialTokens = append(m.ChatTemplate.SpecialTokens, token)
		}
	}
	return err
}

func (h *huggingFace) generation(m *Manifest) (err error) {
	g := h.json("generation_config.json", &err)
	m.MaxOutput = g.count("max_new_tokens")
	m.Sampling = g.scalars("transformers_version", "max_new_tokens")
	return err
}

// weights counts the parameters of the safetensors.
func (h *huggingFace) weights(m *Manifest) error {
	var params uint64
	types := map[string]uint64{}
	for _, f := range m.Files {
		if !strings.HasSuffix(f.Path, ".safetensors") {
			continue
		}
		file, err := h.fsys.Open(h.real[f.Path])
		if err != nil {
			return fmt.Errorf("model: import Hugging Face: %w", err)
		}
		n, err := safetensors(f.Path, file, f.Size, types)
		_ = file.Close()
		if err != nil {
			return err
		}
		params += n
		m.Format = "safetensors"
	}
	if params > 0 {
		m.ParamSize = paramSize(params)
	}
	most := uint64(0)
	for _, name := range slices.Sorted(maps.Keys(types)) {
		if n := types[name]; m.Precision == "" || most > 0 && n > most {
			m.Precision, most = strings.ToLower(name), n
		}
	}
	return h.shards()
}

// shards refuses a folder that lacks a file that an index of the weights names.
func (h *huggingFace) shards() (err error) {
	for _, index := range h.names {
		if !strings.HasSuffix(index, ".safetensors.index.json") {
			continue
		}
		shards, _ := h.json(index, &err).fields["weight_map"].(map[string]any)
		for _, tensor := range slices.Sorted(maps.Keys(shards)) {
			file, _ := shards[tensor].(string)
			if !slices.Contains(h.names, path.Join(path.Dir(index), file)) {
				return errors.Join(err, &ImportError{Source: index, Problem: fmt.Sprintf("missing file of weights (have %q, want a file of the folder)", clip(file))})
			}
		}
	}
	return err
}

// elementSize is the size of a number in a safetensors file in bits.
var elementSize = map[string]uint64{"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}

// safetensors checks the header of a file and returns the number of parameters. It adds
// them up by type in types.
func safetensors(source string, r io.Reader, size int64, types map[string]uint64) (params uint64, err error) {
	bad := func(format string, args ...any) (uint64, error) {
		return 0, &ImportError{Source: source, Offset: 8, Problem: fmt.Sprintf(format, args...)}
	}
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return bad("shorter than its header (have %d bytes)", size)
	}
	length := binary.LittleEndian.Uint64(head[:])
	if length > maxSafetensorHead || int64(length) > size-8 {
		return bad("header of %d bytes in a file of %d bytes (want at most %d)", length, size, maxSafetensorHead)
	}
	text, err := io.ReadAll(io.LimitReader(r, int64(length)))
	if err != nil || uint64(len(text)) < length {
		return bad("header ends early")
	}
	tensors := importJSON(source, bytes.TrimRight(text, " "), &err)
	type span struct{ from, to uint64 }
	var spans []span
	for name := range tensors.fields {
		if name == "__metadata__" {
			continue
		}
		tensor := tensors.object(name)
		bits, known := elementSize[tensor.text("dtype")]
		from, to, ok := offsets(tensor)
		n, fits := elements(tensor)
		if err != nil {
			return 0, err
		}
		if !known || !ok || !fits || n > math.MaxUint64/64 || (n*bits+7)/8 != to-from {
			return bad("tensor %q: type, shape and offsets do not agree", clip(name))
		}
		params += n
		types[tensor.text("dtype")] += n
		spans = append(spans, span{from, to})
	}
	if err != nil {
		return 0, err
	}
	slices.SortFunc(spans, func(a, b span) int {
		switch {
		case a.from != b.from && a.from < b.from:
			return -1
		case a.from > b.from:
			return +1
		}
		return 0
	})
	at := uint64(0)
	for _, s := range spans {
		if s.from != at && s.from != s.to {
			return bad("tensors overlap or leave a gap at %d", s.from)
		}
		at = max(at, s.to)
	}
	if at != uint64(size)-8-length {
		return bad("tensors end at %d of %d bytes", at, uint64(size)-8-length)
	}
	return params, nil
}

func offsets(tensor object) (from, to uint64, ok bool) {
	list, _ := tensor.fields["data_offsets"].([]any)
	if len(list) != 2 {
		return 0, 0, false
	}
	a, okA := list[0].(float64)
	b, okB := list[1].(float64)
	const most = 1 << 53
	if !okA || !okB || a < 0 || b < a || b > most || a != math.Trunc(a) || b != math.Trunc(b) {
		return 0, 0, false
	}
	return uint64(a), uint64(b), true
}

func elements(tensor object) (n uint64, ok bool) {
	list, isList := tensor.fields["shape"].([]any)
	n = 1
	for _, x := range list {
		dim, isNumber := x.(float64)
		const most = 1 << 53
		if !isNumber || dim < 0 || dim != math.Trunc(dim) || dim > most || n > 0 && uint64(dim) > most/n {
			return 0, false
		}
		n *= uint64(dim)
	}
	return n, isList
}

// card reads the licence in the front matter of a model card.
func (h *huggingFace) card(m *Manifest) (err error) {
	text := strings.ReplaceAll(string(h.read("README.md", &err)), "\r\n", "\n")
	rest, opened := strings.CutPrefix(text, "---\n")
	matter, _, closed := strings.Cut(rest, "\n---")
	if !opened || !closed {
		return err
	}
	for line := range strings.SplitSeq(matter, "\n") {
		value, ok := strings.CutPrefix(line, "license:")
		value = strings.Trim(strings.TrimSpace(value), `"'`)
		if ok && value != "" && value != "other" && !strings.ContainsAny(value, "[]{},") {
			m.Licenses = []string{licenceOf(value)}
		}
	}
	return err
}
