package model_test

import (
	"fmt"
	"strings"

	"github.com/serin-go/serin/versioning"
	"github.com/serin-go/serin/versioning/model"
)

// A Modelfile says what is put around the weights of another model.
func ExampleImportOllama() {
	m, err := model.ImportOllama([]byte("FROM llama3.1:8b\nPARAMETER temperature 0.7\nPARAMETER num_ctx 8192\nSYSTEM You are brief.\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(m.Base.Model, m.ContextWindow, m.Sampling["temperature"], m.Prompts[0].Path)
	_, err = model.ImportOllama([]byte("FROM llama3.1:8b\nTEMPRATURE 0.7\n"))
	fmt.Println(err)
	// Output:
	// llama3.1:8b 8192 0.7 system
	// model: import Modelfile: line 2: unknown instruction "TEMPRATURE"
}

// An evaluation with too few items proves neither harm nor its absence.
func ExampleCheckVersion() {
	margin := 0.02
	manifest := func(version string, value, half float64) model.Manifest {
		return model.Manifest{
			Name: "chat", Version: versioning.MustParse(version),
			Files: []model.File{{Path: "model.safetensors", Digest: "sha256:" + strings.Repeat("a", 64)}},
			Evals: []model.Eval{{Task: "qa", Metric: "accuracy", Value: value, Low: value - half, High: value + half, N: 1000, Margin: &margin}},
		}
	}
	old := manifest("1.4.0", 0.80, 0.005)
	fmt.Println(model.CheckVersion(old, manifest("1.4.1", 0.80, 0.005)))
	err := model.CheckVersion(old, manifest("1.5.0", 0.79, 0.03))
	if unproven, ok := err.(*model.UnprovenError); ok {
		fmt.Println("measure about", unproven.Measure/1000, "thousand more")
	}
	// Output:
	// <nil>
	// measure about 11 thousand more
}
