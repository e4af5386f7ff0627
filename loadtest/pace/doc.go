// Package pace provides arrival schedules for load tests: open-loop arrivals at a
// constant rate, at random (Poisson or gamma), along a ramp, a sine or stages,
// and shards of a schedule for several load generators.
//
// A [Pacer] yields the instants at which requests are due. It depends on nothing
// but its parameters, so equal seeds give equal schedules. Requests are due
// whether or not earlier ones have been answered; that is what makes a load test
// open-loop and shows coordinated omission.
//
//	schedule := pace.Stages(
//		pace.Stage{Pacer: pace.Ramp(0, 50, time.Minute), For: time.Minute},
//		pace.Stage{Pacer: pace.Poisson(50, 1), For: 10 * time.Minute},
//	)
package pace
