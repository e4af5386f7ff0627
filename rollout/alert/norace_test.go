//go:build !race

package alert_test

const race = false
