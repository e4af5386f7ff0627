//go:build race

package anomaly

const race = true
