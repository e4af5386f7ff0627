package model

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The structs below are the part of CycloneDX 1.6 and 1.7 that a manifest uses.
type (
	bom struct {
		Format      string      `json:"bomFormat"`
		SpecVersion string      `json:"specVersion"`
		Version     int         `json:"version"`
		Components  []component `json:"components"`
	}
	component struct {
		Type       string     `json:"type"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		Publisher  string     `json:"publisher,omitempty"`
		Hashes     []bomHash  `json:"hashes,omitempty"`
		Licenses   []licence  `json:"licenses,omitempty"`
		ModelCard  modelCard  `json:"modelCard"`
		Properties []property `json:"properties,omitempty"`
	}
	bomHash struct {
		Algorithm string `json:"alg"`
		Content   string `json:"content"`
	}
	licence struct {
		Expression string      `json:"expression,omitempty"`
		License    *licenceRef `json:"license,omitempty"`
	}
	licenceRef struct {
		Name string `json:"name"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	modelCard struct {
		Parameters     modelParameters `json:"modelParameters"`
		Analysis       analysis        `json:"quantitativeAnalysis"`
		Considerations considerations  `json:"considerations"`
	}
	modelParameters struct {
		ArchitectureFamily string    `json:"architectureFamily,omitempty"`
		ModelArchitecture  string    `json:"modelArchitecture,omitempty"`
		Datasets           []dataset `json:"datasets,omitempty"`
		Inputs             []format  `json:"inputs,omitempty"`
		Outputs            []format  `json:"outputs,omitempty"`
	}
	dataset struct {
		Type string `json:"type"`
		Name string `json:"name"`
	}
	format struct {
		Format string `json:"format"`
	}
	analysis struct {
		Metrics []performanceMetric `json:"performanceMetrics,omitempty"`
	}
	performanceMetric struct {
		Type     string    `json:"type"`
		Value    string    `json:"value"`
		Slice    string    `json:"slice,omitempty"`
		Interval *interval `json:"confidenceInterval,omitempty"`
	}
	interval struct {
		Lower string `json:"lowerBound"`
		Upper string `json:"upperBound"`
	}
	considerations struct {
		UseCases    []string `json:"useCases,omitempty"`
		Limitations []string `json:"technicalLimitations,omitempty"`
		Ethical     []risk   `json:"ethicalConsiderations,omitempty"`
	}
	risk struct {
		Name string `json:"name"`
	}
)

// CycloneDX exports the manifest as a CycloneDX 1.6 bill of materials (ML-BOM) with
// one machine-learning model and its model card. Values without a field in the
// format become properties. Equal manifests give equal bytes.
func (m *Manifest) CycloneDX() ([]byte, error) { return m.CycloneDXAs("1.6") }

// CycloneDXAs is [Manifest.CycloneDX] for version "1.6" or "1.7" of the format. It
// returns an error for another version.
func (m *Manifest) CycloneDXAs(specVersion string) ([]byte, error) {
	if specVersion != "1.6" && specVersion != "1.7" {
		return nil, fmt.Errorf("model: bill of materials: unknown version of CycloneDX (have %q, want 1.6 or 1.7)", clip(specVersion))
	}
	c := component{
		Type: "machine-learning-model", Name: m.Name, Version: m.Version.String(), Publisher: m.Vendor,
		Hashes: []bomHash{{"SHA-256", strings.TrimPrefix(m.ContentDigest(), digestPrefix)}},
	}
	c.Licenses = licences(m.Licenses)
	c.ModelCard.Parameters = modelParameters{ArchitectureFamily: m.Family, ModelArchitecture: m.Architecture, Inputs: formats(m.InputTypes), Outputs: formats(m.OutputTypes)}
	for _, name := range m.Training.Datasets {
		c.ModelCard.Parameters.Datasets = append(c.ModelCard.Parameters.Datasets, dataset{"dataset", name})
	}
	for i := range m.Evals {
		e := &m.Evals[i]
		p := performanceMetric{Type: e.Metric, Value: number(e.Value), Slice: strings.Trim(strings.Join([]string{e.Task, e.Dataset, e.Revision, e.Split}, "/"), "/")}
		if e.interval() {
			p.Interval = &interval{number(e.Low), number(e.High)}
		}
		c.ModelCard.Analysis.Metrics = append(c.ModelCard.Analysis.Metrics, p)
	}
	c.ModelCard.Considerations = considerations{UseCases: m.IntendedUse, Limitations: m.Limitations}
	if m.SafetyRisk != "" {
		c.ModelCard.Considerations.Ethical = []risk{{m.SafetyRisk}}
	}
	add := func(name, value string) {
		if value != "" && value != "0" {
			c.Properties = append(c.Properties, property{"serin:" + name, value})
		}
	}
	add("variant", m.Variant)
	add("precision", m.Precision)
	add("quantization", m.Quantization)
	add("contextWindow", strconv.Itoa(m.ContextWindow))
	add("maxOutput", strconv.Itoa(m.MaxOutput))
	add("tokenizer", m.Tokenizer.Digest)
	add("chatTemplate", m.ChatTemplate.Digest)
	if m.Base != nil {
		add("base", strings.TrimSpace(m.Base.Model+" "+m.Base.Version))
	}
	if m.Opaque() {
		add("opaque", m.API.Provider+" "+m.API.SnapshotID)
	}
	text, err := json.Marshal(bom{"CycloneDX", specVersion, 1, []component{c}})
	if err != nil {
		return nil, err
	}
	return canonical(text)
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) }

// licences converts SPDX expressions. The format allows either one expression or any
// number of names.
func licences(expressions []string) []licence {
	if len(expressions) == 1 && expressions[0] != "" {
		return []licence{{Expression: expressions[0]}}
	}
	var all []licence
	for _, e := range expressions {
		all = append(all, licence{License: &licenceRef{Name: e}})
	}
	return all
}

func formats(types []string) []format {
	var all []format
	for _, t := range types {
		all = append(all, format{t})
	}
	return all
}

// VerifyCycloneDX returns nil if a bill of materials equals the export of the
// manifest in its version of the format. It ignores the order of keys and blanks. A
// bill with a repeated key or with data after it is an error.
func (m *Manifest) VerifyCycloneDX(text []byte) error {
	got, err := canonical(text)
	if err != nil {
		return err
	}
	var head struct {
		SpecVersion string `json:"specVersion"`
	}
	if err := json.Unmarshal(got, &head); err != nil {
		return fmt.Errorf("model: bill of materials: %w", err)
	}
	want, err := m.CycloneDXAs(head.SpecVersion)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return errors.New("model: bill of materials: does not match the manifest")
	}
	return nil
}
