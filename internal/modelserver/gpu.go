package modelserver

import (
	"github.com/serin-go/serin/internal/exposition"
)

// GPUs is what the page of a DCGM exporter says about all its GPUs together. What is not
// on the page is not known.
type GPUs struct {
	Use    Value // the mean share of the time in use, 0 to 1
	Power  Value // the sum in watts
	Energy Value // the sum since the driver was loaded, in joules
}

// dcgmBlank is the smallest value that means "not known" (dcgm_fields.h).
const dcgmBlank = 0x7ffffff0

// ReadGPUs reads the page of a DCGM exporter, with the names of its default counters. A
// GPU that is shared has several series with the same values, and counts once. Partitions
// (MIG) have no energy of their own, and do not count. ReadGPUs returns the errors of
// [exposition.Parse].
func ReadGPUs(page []byte, contentType string) (GPUs, error) {
	type sum struct {
		gpus           map[string]float64
		blank, invalid bool
	}
	use, power, energy := sum{gpus: make(map[string]float64)}, sum{gpus: make(map[string]float64)}, sum{gpus: make(map[string]float64)}
	for s, err := range exposition.Parse(page, contentType) {
		if err != nil {
			return GPUs{}, err
		}
		var to *sum
		var blank float64
		switch s.Name {
		case "DCGM_FI_DEV_GPU_UTIL":
			to, blank = &use, dcgmBlank
		case "DCGM_FI_DEV_POWER_USAGE":
			to, blank = &power, dcgmBlank
		case "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION":
			to, blank = &energy, 0x7ffffffffffffff0 // of 64 bits
		default:
			continue
		}
		if part, _ := s.Label("GPU_I_ID"); part != "" {
			continue
		}
		if !(s.Value >= 0 && s.Value < blank) {
			to.blank, to.invalid = true, to.invalid || !(s.Value >= blank)
			continue
		}
		host, _ := s.Label("Hostname")
		gpu, _ := s.Label("gpu")
		id, _ := s.Label("UUID")
		key := host + "\x00" + gpu + "\x00" + id
		to.gpus[key] = max(to.gpus[key], s.Value)
	}
	total := func(from sum, name string, scale float64) Value {
		v := Value{Known: !from.blank && len(from.gpus) > 0, Invalid: from.invalid, Name: name}
		for _, one := range from.gpus {
			v.Value += one * scale
		}
		return v
	}
	return GPUs{
		Use:    total(use, "DCGM_FI_DEV_GPU_UTIL", 0.01/float64(max(1, len(use.gpus)))),
		Power:  total(power, "DCGM_FI_DEV_POWER_USAGE", 1),
		Energy: total(energy, "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", 0.001),
	}, nil
}
