package model

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

// tensors returns a safetensors file with a header and n bytes of data.
func tensors(header string, n int) string {
	return string(binary.LittleEndian.AppendUint64(nil, uint64(len(header)))) + header + strings.Repeat("\x01", n)
}

const twoTensors = `{"__metadata__":{"format":"pt"},"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[],"data_offsets":[12,16]}}`

func hugging() fstest.MapFS {
	files := fstest.MapFS{}
	for name, text := range map[string]string{
		"config.json":            `{"architectures":["LlamaForCausalLM"],"model_type":"llama","torch_dtype":"bfloat16","max_position_embeddings":8192,"vocab_size":32000,"quantization_config":{"quant_method":"awq","bits":4}}`,
		"generation_config.json": `{"temperature":0.6,"top_p":0.9,"do_sample":true,"eos_token_id":[1,2],"max_new_tokens":512,"transformers_version":"4.44.0"}`,
		"tokenizer.json":         `{"model":{}}`,
		"tokenizer_config.json":  `{"tokenizer_class":"PreTrainedTokenizerFast","chat_template":"{{ messages }}","bos_token":"<s>","eos_token":{"content":"</s>"}}`,
		"model.safetensors":      tensors(twoTensors, 16),
		"README.md":              "---\nlanguage:\n- en\nlicense: apache-2.0\n---\n# Card\n",
	} {
		files["m/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	return files
}

func TestImportHuggingFace(t *testing.T) {
	m, err := ImportHuggingFace(t.Context(), hugging(), "m")
	if err != nil {
		t.Fatal(err)
	}
	if m.Architecture != "LlamaForCausalLM" || m.Family != "llama" || m.Precision != "bfloat16" || m.ContextWindow != 8192 || m.Tokenizer.VocabSize != 32000 || m.Quantization != "awq" || m.ParamSize != "7" || m.Format != "safetensors" {
		t.Errorf("%+v", m)
	}
	if m.Sampling["temperature"] != "0.6" || m.Sampling["eos_token_id"] != "[1,2]" || m.Sampling["do_sample"] != "true" || len(m.Sampling) != 4 || m.MaxOutput != 512 {
		t.Errorf("%+v", m.Sampling)
	}
	if m.ChatTemplate.Digest != digestOf([]byte("{{ messages }}")) || strings.Join(m.ChatTemplate.SpecialTokens, " ") != "<s> </s>" || m.Tokenizer.Name != "PreTrainedTokenizerFast" || m.Tokenizer.Digest == "" || strings.Join(m.Licenses, " ") != "Apache-2.0" || len(m.Files) != 6 {
		t.Errorf("%+v", m)
	}
	m.Name = "org/model"
	if err := m.Validate(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(fstest.MapFS){
		"no JSON":    func(f fstest.MapFS) { f["m/config.json"].Data = []byte("{") },
		"twice":      func(f fstest.MapFS) { f["m/config.json"].Data = []byte(`{"vocab_size":1,"vocab_size":2}`) },
		"a list":     func(f fstest.MapFS) { f["m/config.json"].Data = []byte("[]") },
		"wrong type": func(f fstest.MapFS) { f["m/config.json"].Data = []byte(`{"vocab_size":"many"}`) },
		"negative":   func(f fstest.MapFS) { f["m/config.json"].Data = []byte(`{"max_position_embeddings":-1}`) },
		"cut":        func(f fstest.MapFS) { f["m/model.safetensors"].Data = f["m/model.safetensors"].Data[:40] },
		"no shard": func(f fstest.MapFS) {
			f["m/model.safetensors.index.json"] = &fstest.MapFile{Data: []byte(`{"weight_map":{"a":"model.safetensors","b":"model-2.safetensors"}}`)}
		},
		"no header":     func(f fstest.MapFS) { f["m/model.safetensors"].Data = []byte("abc") },
		"missing bytes": func(f fstest.MapFS) { f["m/model.safetensors"].Data = []byte(tensors(twoTensors, 15)) },
		"more bytes":    func(f fstest.MapFS) { f["m/model.safetensors"].Data = []byte(tensors(twoTensors, 17)) },
		"overlap": func(f fstest.MapFS) {
			f["m/model.safetensors"].Data = []byte(tensors(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}`, 6))
		},
		"overflow": func(f fstest.MapFS) {
			f["m/model.safetensors"].Data = []byte(tensors(`{"a":{"dtype":"F64","shape":[9007199254740992,9007199254740992],"data_offsets":[0,0]}}`, 0))
		},
		"type": func(f fstest.MapFS) {
			f["m/model.safetensors"].Data = []byte(tensors(`{"a":{"dtype":"F7","shape":[1],"data_offsets":[0,1]}}`, 1))
		},
		"device": func(f fstest.MapFS) { f["m/dev"] = &fstest.MapFile{Mode: fs.ModeDevice} },
	} {
		f := hugging()
		change(f)
		var bad *ImportError
		if m, err := ImportHuggingFace(t.Context(), f, "m"); !errors.As(err, &bad) || bad.Problem == "" {
			t.Errorf("%s: %+v, %v", name, m.Name, err)
		}
	}
	if _, err := ImportHuggingFace(t.Context(), fstest.MapFS{}, "m"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ImportHuggingFace(ended, hugging(), "m"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestPrecisionOfEqualNumbers: types with equally many parameters always give the same result.
func TestPrecisionOfEqualNumbers(t *testing.T) {
	f := hugging()
	delete(f, "m/config.json")
	f["m/model.safetensors"].Data = []byte(tensors(`{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"I8","shape":[4],"data_offsets":[4,8]}}`, 8))
	for range 50 {
		if m, err := ImportHuggingFace(t.Context(), f, "m"); err != nil || m.Precision != "i8" {
			t.Fatalf("%q, %v", m.Precision, err)
		}
	}
}

// TestImportHuggingFaceCache reads the cache, whose snapshots are links to blobs.
func TestImportHuggingFaceCache(t *testing.T) {
	dir := t.TempDir()
	cache := filepath.Join(dir, "models--org--tiny")
	write := func(name, text string) {
		path := filepath.Join(cache, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	link := func(target, name string) {
		path := filepath.Join(cache, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.Symlink(target, path)); err != nil {
			t.Fatal(err)
		}
	}
	write("refs/main", "abc123")
	write("blobs/1", `{"model_type":"tiny"}`)
	write("blobs/2", tensors(twoTensors, 16))
	link("../../blobs/1", "snapshots/abc123/config.json")
	link("../../../blobs/2", "snapshots/abc123/sub/model.safetensors")
	m, err := ImportHuggingFace(t.Context(), os.DirFS(dir), "models--org--tiny")
	if err != nil || m.Name != "org/tiny" || m.Family != "tiny" || len(m.Files) != 2 || m.Files[1].Path != "sub/model.safetensors" || m.ParamSize != "7" {
		t.Errorf("%+v, %v", m, err)
	}
	var bad *ImportError
	if err := os.WriteFile(filepath.Join(dir, "secret"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i, target := range []string{"../../../secret", "/etc/passwd", "../../blobs", "../config.json"} {
		name := filepath.Join(cache, "snapshots", "abc123", fmt.Sprint("link", i))
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
		if _, err := ImportHuggingFace(t.Context(), os.DirFS(dir), "models--org--tiny"); err == nil || i < 3 && !errors.As(err, &bad) {
			t.Errorf("%s: %v", target, err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	write("refs/main", "../../../elsewhere")
	if _, err := ImportHuggingFace(t.Context(), os.DirFS(dir), "models--org--tiny"); !errors.As(err, &bad) {
		t.Error(err)
	}
}

// gufBuilder writes a GGUF file.
type gufBuilder struct{ bytes.Buffer }

func (b *gufBuilder) num(values ...any) *gufBuilder {
	for _, v := range values {
		if s, ok := v.(string); ok {
			_ = binary.Write(b, binary.LittleEndian, uint64(len(s)))
			b.WriteString(s)
			continue
		}
		_ = binary.Write(b, binary.LittleEndian, v)
	}
	return b
}

func sampleGGUF() []byte {
	var b gufBuilder
	b.WriteString("GGUF")
	b.num(uint32(3), uint64(1), uint64(8))
	b.num("general.architecture", uint32(8), "llama", "general.license", uint32(8), "mit", "general.file_type", uint32(4), uint32(15))
	b.num("llama.context_length", uint32(4), uint32(4096), "tokenizer.ggml.model", uint32(8), "gpt2")
	b.num("tokenizer.ggml.tokens", uint32(9), uint32(8), uint64(2), "a", "bc", "tokenizer.chat_template", uint32(8), "{{ m }}", "llama.rope", uint32(6), float32(1))
	b.num("weight", uint32(2), uint64(4), uint64(5), uint32(0), uint64(0))
	for b.Len()%32 != 0 {
		b.WriteByte(0)
	}
	b.Write(make([]byte, 80))
	return b.Bytes()
}

func TestImportGGUF(t *testing.T) {
	file := sampleGGUF()
	read := func(b []byte) (Manifest, error) {
		return ImportGGUF(t.Context(), "model.gguf", bytes.NewReader(b), int64(len(b)))
	}
	m, err := read(file)
	if err != nil || m.Architecture != "llama" || m.ContextWindow != 4096 || m.Tokenizer.VocabSize != 2 || m.Tokenizer.Name != "gpt2" || m.Quantization != "Q4_K_M" || m.ParamSize != "20" || m.Licenses[0] != "MIT" || m.ChatTemplate.Digest != digestOf([]byte("{{ m }}")) || m.Files[0].Digest != digestOf(file) {
		t.Errorf("%+v, %v", m, err)
	}
	m.Name = "tiny"
	if err := m.Validate(); err != nil {
		t.Error(err)
	}
	// Cut anywhere, it is refused, with the place; whatever is replaced, nothing panics.
	for n := range len(file) - 80 {
		var bad *ImportError
		if _, err := read(file[:n]); !errors.As(err, &bad) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	for name, change := range map[string]func([]byte) []byte{
		"version 1": func(b []byte) []byte { b[4] = 1; return b }, "big-endian": func(b []byte) []byte { b[4], b[7] = 0, 3; return b },
		"many keys": func(b []byte) []byte { b[22] = 0xFF; return b }, "magic": func(b []byte) []byte { b[0] = 'g'; return b },
	} {
		b := change(bytes.Clone(file))
		var bad *ImportError
		if _, err := read(b); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var twice gufBuilder
	twice.WriteString("GGUF")
	twice.num(uint32(3), uint64(0), uint64(2), "a", uint32(0), uint8(1), "a", uint32(0), uint8(2))
	twice.Write(make([]byte, 64))
	if _, err := read(twice.Bytes()); err == nil || !strings.Contains(err.Error(), `"a": repeated`) {
		t.Error(err)
	}
	if _, err := ImportGGUF(t.Context(), "../up", bytes.NewReader(file), int64(len(file))); err == nil {
		t.Error("a path upwards was accepted")
	}
}

const packConfig = `{"descriptor":{"createdAt":"2026-01-02T03:04:05Z","authors":["A"],"family":"tiny","name":"org/tiny","version":"v1.2","licenses":["MIT"]},"config":{"architecture":"transformer","format":"safetensors","paramSize":"8b","precision":"bf16","capabilities":{"inputTypes":["text"],"toolUsage":true}},"modelfs":{"type":"layers","diffIds":[]}}`

func ociManifest(config, layers string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/vnd.cncf.model.manifest.v1+json","config":{"mediaType":"application/vnd.cncf.model.config.v1+json","digest":%q,"size":%d},"layers":[%s]}`, digestOf([]byte(config)), len(config), layers)
}

func TestImportOCI(t *testing.T) {
	layers := fmt.Sprintf(`{"mediaType":"application/vnd.cncf.model.weight.v1.raw","digest":%q,"size":7,"annotations":{"org.cncf.model.filepath":"model.safetensors"}},{"mediaType":"application/vnd.ollama.image.template","digest":%q,"size":3}`, digest('a'), digest('b'))
	m, err := ImportOCI([]byte(ociManifest(packConfig, layers)), []byte(packConfig))
	if err != nil || m.Name != "org/tiny" || m.Version.String() != "1.2.0" || !m.ToolUsage || m.Precision != "bf16" || len(m.Files) != 2 || m.Files[0] != (File{"model.safetensors", digest('a'), 7}) || m.CreatedAt.IsZero() {
		t.Errorf("%+v, %v", m, err)
	}
	if err := m.Validate(); err != nil {
		t.Error(err)
	}
	for name, text := range map[string]string{
		"index":         `{"schemaVersion":2,"manifests":[]}`,
		"schema 1":      `{"schemaVersion":1}`,
		"no layers":     ociManifest(packConfig, ""),
		"other config":  ociManifest("{}", layers),
		"sha512":        ociManifest(packConfig, `{"mediaType":"x","digest":"sha512:`+strings.Repeat("a", 128)+`","size":1}`),
		"path upwards":  ociManifest(packConfig, fmt.Sprintf(`{"mediaType":"x","digest":%q,"size":1,"annotations":{"org.opencontainers.image.title":"../x"}}`, digest('a'))),
		"path twice":    ociManifest(packConfig, layers+","+layers),
		"data behind":   ociManifest(packConfig, layers) + "{}",
		"negative size": ociManifest(packConfig, fmt.Sprintf(`{"mediaType":"x","digest":%q,"size":-1}`, digest('a'))),
	} {
		var bad *ImportError
		if _, err := ImportOCI([]byte(text), []byte(packConfig)); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

const sampleModelfile = `# a model
FROM llama3.1:8b
PARAMETER temperature 0.7
PARAMETER num_ctx 4096
PARAMETER stop "<|eot|>"
PARAMETER stop "</s>"
TEMPLATE """{{ if .System }}
{{ .System }}{{ end }}"""
SYSTEM You are brief.
MESSAGE user Hello
LICENSE """
Some licence
of several lines.
"""
`

func TestImportOllama(t *testing.T) {
	m, err := ImportOllama([]byte(sampleModelfile))
	if err != nil || m.Base.Model != "llama3.1:8b" || m.ContextWindow != 4096 || m.Sampling["temperature"] != "0.7" || m.Sampling["stop"] != `["\u003c|eot|\u003e","\u003c/s\u003e"]` || len(m.Prompts) != 2 || m.Prompts[0].Digest != digestOf([]byte("You are brief.")) || m.ChatTemplate.Digest != digestOf([]byte("{{ if .System }}\n{{ .System }}{{ end }}")) || !strings.HasPrefix(m.Licenses[0], "LicenseRef-") {
		t.Errorf("%+v, %v", m, err)
	}
	m.Name, m.Files = "brief", []File{{"model.gguf", digest('a'), 1}}
	if err := m.Validate(); err != nil {
		t.Error(err)
	}
	other, err := ImportOllama([]byte(strings.Replace(sampleModelfile, "brief", "long", 1)))
	other.Files = m.Files
	if err != nil || other.ContentDigest() == m.ContentDigest() {
		t.Errorf("another system prompt has the same digest, %v", err)
	}
	for text, line := range map[string]int{"": 0, "FROM": 1, "FROM a\nFROM b": 2, "FROM a\n\nDELETE x": 3, "FROM a\nPARAMETER x": 2, "FROM a\nSYSTEM \"\"\"open\nmore": 2, "SYSTEM x": 0} {
		var bad *ImportError
		if _, err := ImportOllama([]byte(text)); !errors.As(err, &bad) || bad.Line != line {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// imported checks that what an importer accepts is a manifest once it has a name.
func imported(t *testing.T, m Manifest, err error) {
	if err != nil {
		if problem := (*ImportError)(nil); !errors.As(err, &problem) {
			t.Errorf("%T: %v", err, err)
		}
		return
	}
	m.Name = "x"
	if len(m.Files) == 0 {
		m.Files = []File{{"f", digest('a'), 1}}
	}
	if err := m.Validate(); err != nil {
		t.Error(err)
	}
	text, err := m.Canonical()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if second, err := again.Canonical(); err != nil || !bytes.Equal(text, second) {
		t.Errorf("%v\n%s\n%s", err, text, second)
	}
}

func FuzzImportHuggingFace(f *testing.F) {
	for name, file := range hugging() {
		f.Add(strings.TrimPrefix(name, "m/"), file.Data)
	}
	f.Fuzz(func(t *testing.T, name string, text []byte) {
		if !fs.ValidPath("m/" + name) {
			return
		}
		files := fstest.MapFS{"m/x": {Data: []byte("x")}, "m/" + name: {Data: text}}
		m, err := ImportHuggingFace(t.Context(), files, "m")
		if err == nil || errors.As(err, new(*ImportError)) {
			imported(t, m, err)
		}
	})
}

func FuzzImportGGUF(f *testing.F) {
	f.Add(sampleGGUF())
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ImportGGUF(t.Context(), "m.gguf", bytes.NewReader(b), int64(len(b)))
		imported(t, m, err)
	})
}

func FuzzImportOCI(f *testing.F) {
	f.Add(ociManifest(packConfig, fmt.Sprintf(`{"mediaType":"x","digest":%q,"size":1}`, digest('a'))), packConfig)
	f.Fuzz(func(t *testing.T, manifest, config string) {
		m, err := ImportOCI([]byte(manifest), []byte(config))
		imported(t, m, err)
		m, err = ImportOCI([]byte(ociManifest(config, fmt.Sprintf(`{"mediaType":"x","digest":%q,"size":1}`, digest('a')))), []byte(config))
		imported(t, m, err)
	})
}

func FuzzImportOllama(f *testing.F) {
	f.Add(sampleModelfile)
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ImportOllama([]byte(text))
		imported(t, m, err)
	})
}
