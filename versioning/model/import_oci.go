package model

import (
	"fmt"
	"strings"
	"time"

	"github.com/serin-go/serin/versioning"
)

// ImportOCI describes a model that is an OCI artifact, by its manifest and its
// configuration, such as ModelPack and Ollama store them. The layers are the files; their
// paths are in the annotations, or else are made of media type and digest. The
// configuration must have the size and the digest that the manifest says. Of a ModelPack
// configuration the descriptor and the capabilities are read. An index, a digest other
// than SHA-256, or a path that occurs twice is an [*ImportError].
func ImportOCI(manifest, config []byte) (m Manifest, err error) {
	o := importJSON("OCI manifest", manifest, &err)
	if err == nil && (o.fields["manifests"] != nil || o.count("schemaVersion") != 2) {
		err = &ImportError{Source: "OCI manifest", Problem: fmt.Sprintf("not an image manifest (have schemaVersion %v and media type %q)", o.fields["schemaVersion"], clip(o.text("mediaType")))}
	}
	c := o.object("config")
	digest, size, kind := c.text("digest"), c.count("size"), c.text("mediaType")
	if err == nil && (digest != digestOf(config) || size != len(config)) {
		err = &ImportError{Source: "OCI manifest", Problem: fmt.Sprintf("the configuration is another one (have %s of %d bytes, want %s of %d bytes)", digestOf(config), len(config), clip(digest), size)}
	}
	seen := map[string]bool{}
	for _, layer := range o.objects("layers") {
		f := File{Digest: layer.text("digest"), Size: int64(layer.count("size"))}
		notes := layer.object("annotations")
		for _, name := range []string{"org.cncf.model.filepath", "org.opencontainers.image.title"} {
			if f.Path == "" {
				f.Path = notes.text(name)
			}
		}
		if err != nil {
			break
		}
		if f.Path == "" {
			f.Path = strings.NewReplacer("/", ".", "+", ".").Replace(layer.text("mediaType")) + "-" + strings.TrimPrefix(f.Digest, digestPrefix)[:min(12, len(strings.TrimPrefix(f.Digest, digestPrefix)))]
		}
		if !validDigest(f.Digest) || !validPath(f.Path) || seen[f.Path] {
			err = &ImportError{Source: layer.source, Problem: fmt.Sprintf("invalid or repeated (have digest %q and path %q, want sha256: and a relative path that occurs once)", clip(f.Digest), clip(f.Path))}
			break
		}
		seen[f.Path] = true
		m.Files = append(m.Files, f)
	}
	if err == nil && len(m.Files) == 0 {
		err = &ImportError{Source: "OCI manifest", Problem: "no layers"}
	}
	if err == nil && strings.HasPrefix(kind, "application/vnd.cncf.model.config.") {
		m.modelPack(config, &err)
	}
	if err != nil {
		return Manifest{}, err
	}
	return m, nil
}

// modelPack reads a ModelPack configuration.
func (m *Manifest) modelPack(text []byte, err *error) {
	o := importJSON("ModelPack configuration", text, err)
	d := o.object("descriptor")
	m.Name, m.Vendor, m.Family = d.text("name"), d.text("vendor"), d.text("family")
	m.Authors, m.Licenses = d.texts("authors"), d.texts("licenses")
	if version := d.text("version"); version != "" {
		v, bad := versioning.ParseTolerant(version)
		if bad != nil {
			d.wrong("version", "a semantic version")
		}
		m.Version = v
	}
	if created := d.text("createdAt"); created != "" {
		at, bad := time.Parse(time.RFC3339, created)
		if bad != nil {
			d.wrong("createdAt", "a time as RFC 3339 writes it")
		}
		m.CreatedAt = at
	}
	c := o.object("config")
	m.Architecture, m.Format, m.ParamSize = c.text("architecture"), c.text("format"), c.text("paramSize")
	m.Precision, m.Quantization = c.text("precision"), c.text("quantization")
	can := c.object("capabilities")
	m.InputTypes, m.OutputTypes, m.Languages = can.texts("inputTypes"), can.texts("outputTypes"), can.texts("languages")
	m.ToolUsage, m.Reasoning, m.KnowledgeCutoff = can.flag("toolUsage"), can.flag("reasoning"), can.text("knowledgeCutoff")
}
