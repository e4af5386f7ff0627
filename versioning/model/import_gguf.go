package model

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"
)

// ImportGGUF describes a model in one GGUF file of version 2 or 3. name is its path in
// the manifest, "model.gguf", and size its size in bytes. It hashes the file, and reads
// architecture, context window, vocabulary, chat template, quantization, licence and the
// number of parameters. The caller sets Name and Version. A file that is cut, that
// repeats a key, or whose tensors lie outside of it is an [*ImportError].
func ImportGGUF(ctx context.Context, name string, r io.ReaderAt, size int64) (Manifest, error) {
	if !validPath(name) {
		return Manifest{}, &ImportError{Source: "GGUF", Problem: fmt.Sprintf("invalid path (have %q, want a relative path with slashes)", clip(name))}
	}
	g := gguf{r: bufio.NewReaderSize(io.NewSectionReader(r, 0, size), 64<<10), size: size, keys: map[string]any{}, tokens: sha256.New()}
	g.header()
	if g.err != nil {
		return Manifest{}, g.err
	}
	m := g.manifest()
	h := sha256.New()
	if _, err := io.Copy(h, &cancelled{ctx, io.NewSectionReader(r, 0, size)}); err != nil {
		return Manifest{}, fmt.Errorf("model: import GGUF: %w", err)
	}
	m.Files = []File{{name, digestPrefix + hex.EncodeToString(h.Sum(nil)), size}}
	return m, nil
}

// cancelled is a reader that stops when its context ends.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// gguf reads the header of a file. After the first error its methods return zeros.
type gguf struct {
	r      *bufio.Reader
	size   int64
	at     int64
	err    error
	keys   map[string]any // the values that are used
	tokens hash.Hash      // of the values of the tokenizer
	hashed bool
	params uint64
}

const (
	maxGGUFText  = 16 << 20
	maxGGUFCount = 1 << 20 // of keys and of tensors
)

func (g *gguf) bad(format string, args ...any) {
	if g.err == nil {
		g.err = &ImportError{Source: "GGUF", Offset: g.at, Problem: fmt.Sprintf(format, args...)}
	}
}

// bytes reads n bytes. The result is valid until the next read.
func (g *gguf) bytes(n int) []byte {
	if g.err != nil {
		return make([]byte, n)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(g.r, b); err != nil {
		g.bad("the file ends early")
		return b
	}
	g.at += int64(n)
	if g.hashed {
		g.tokens.Write(b)
	}
	return b
}

func (g *gguf) u32() uint32 { return binary.LittleEndian.Uint32(g.bytes(4)) }
func (g *gguf) u64() uint64 { return binary.LittleEndian.Uint64(g.bytes(8)) }

// count reads a number of things of which each has at least size bytes.
func (g *gguf) count(what string, size int64) int64 {
	n := g.u64()
	if n > uint64((g.size-g.at)/size) {
		g.bad("%d %s in a file of %d bytes", n, what, g.size)
		return 0
	}
	return int64(n)
}

func (g *gguf) text() string {
	n := g.count("bytes of text", 1)
	if n > maxGGUFText {
		g.bad("text of %d bytes (want at most %d)", n, maxGGUFText)
		return ""
	}
	return string(g.bytes(int(n)))
}

func (g *gguf) header() {
	if magic := string(g.bytes(4)); magic != "GGUF" {
		g.bad("not a GGUF file (have %q)", magic)
	}
	if version := g.u32(); version != 2 && version != 3 {
		g.bad("unknown version (have %d, want 2 or 3 in little-endian order)", version)
	}
	tensors := g.count("tensors", 24)
	keys := g.count("keys", 13)
	if tensors > maxGGUFCount || keys > maxGGUFCount {
		g.bad("too many (have %d tensors and %d keys, want at most %d)", tensors, keys, maxGGUFCount)
	}
	for range keys {
		if g.err != nil {
			return
		}
		g.pair()
	}
	g.tensors(tensors)
}

func (g *gguf) pair() {
	key := g.text()
	if _, twice := g.keys[key]; twice {
		g.bad("key %q: repeated", clip(key))
		return
	}
	g.hashed = strings.HasPrefix(key, "tokenizer.ggml.")
	if g.hashed {
		g.tokens.Write([]byte(key))
	}
	g.keys[key] = g.value(g.u32(), 0)
	g.hashed = false
}

// sizes of the types of values that are numbers: uint8, int8, uint16, int16, uint32,
// int32, float32, bool, and from 10 on uint64, int64, float64.
var ggufSizes = map[uint32]int{0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

const ggufText, ggufArray = 8, 9

// value reads a value. It returns strings, integers, and the lengths of arrays.
func (g *gguf) value(kind uint32, depth int) any {
	const deepest = 4
	size, number := ggufSizes[kind]
	switch {
	case kind == ggufText:
		return g.text()
	case kind == ggufArray:
		inner := g.u32()
		least := int64(1)
		if n := ggufSizes[inner]; n > 0 {
			least = int64(n)
		} else if inner == ggufText {
			least = 8
		} else if inner == ggufArray {
			least = 12
		}
		n := g.count("elements", least)
		if depth == deepest {
			g.bad("arrays nested too deeply")
		}
		for range n {
			if g.err != nil {
				return nil
			}
			g.value(inner, depth+1)
		}
		return arrayLength(n)
	case !number:
		g.bad("unknown type of value %d", kind)
		return nil
	}
	b := g.bytes(size)
	switch kind {
	case 0:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	case 5:
		if n := int32(binary.LittleEndian.Uint32(b)); n >= 0 {
			return uint64(n)
		}
	case 10:
		return binary.LittleEndian.Uint64(b)
	}
	return nil
}

type arrayLength int64

// tensors reads the descriptions of the tensors, and checks that they begin within the
// file.
func (g *gguf) tensors(n int64) {
	names := map[string]bool{}
	var last uint64
	for range n {
		name := g.text()
		if names[name] {
			g.bad("tensor %q: repeated", clip(name))
		}
		names[name] = true
		dims := g.u32()
		const most = 8
		if dims > most {
			g.bad("tensor %q: %d dimensions (want at most %d)", clip(name), dims, most)
			return
		}
		elements := uint64(1)
		for range dims {
			dim := g.u64()
			if dim > 0 && elements > (1<<53)/dim {
				g.bad("tensor %q: too large", clip(name))
				return
			}
			elements *= dim
		}
		g.u32() // type
		last = max(last, g.u64())
		g.params += elements
		if g.err != nil {
			return
		}
	}
	alignment := uint64(32)
	if a, ok := g.keys["general.alignment"].(uint64); ok && a > 0 && a <= 1<<20 {
		alignment = a
	}
	start := (uint64(g.at) + alignment - 1) / alignment * alignment
	if n > 0 && (start > uint64(g.size) || last >= uint64(g.size)-start) {
		g.bad("a tensor begins at %d, behind the end of the file", last)
	}
}

// ggufTypes names the quantizations of general.file_type.
var ggufTypes = map[uint64]string{0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4"}

func (g *gguf) manifest() Manifest {
	text := func(key string) string { s, _ := g.keys[key].(string); return strings.ToValidUTF8(s, "\uFFFD") }
	number := func(key string) int {
		n, _ := g.keys[key].(uint64)
		return int(min(n, 1<<53))
	}
	m := Manifest{Format: "gguf", Architecture: text("general.architecture"), InputTypes: []string{"text"}, OutputTypes: []string{"text"}}
	m.ContextWindow = number(m.Architecture + ".context_length")
	m.Tokenizer.Name = text("tokenizer.ggml.model")
	if n, ok := g.keys["tokenizer.ggml.tokens"].(arrayLength); ok {
		m.Tokenizer.VocabSize = int(n)
		m.Tokenizer.Digest = digestPrefix + hex.EncodeToString(g.tokens.Sum(nil))
	}
	if template := text("tokenizer.chat_template"); template != "" {
		m.ChatTemplate.Digest = digestOf([]byte(template))
	}
	if kind, ok := g.keys["general.file_type"].(uint64); ok {
		m.Quantization = ggufTypes[kind]
	}
	if m.Quantization == "F32" || m.Quantization == "F16" || m.Quantization == "BF16" {
		m.Precision, m.Quantization = strings.ToLower(m.Quantization), ""
	}
	if licence := text("general.license"); licence != "" {
		m.Licenses = []string{licenceOf(licence)}
	}
	if g.params > 0 {
		m.ParamSize = paramSize(g.params)
	}
	return m
}
