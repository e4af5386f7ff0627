//go:build !race

package main

const runs = 60
