package worlds

import "fmt"

// Arms of a world. Third takes part only if the split gives it a share.
const (
	Baseline = iota
	Candidate
	Third
	NumArms
)

// Shares are the shares of the arms, which add up to one.
type Shares [NumArms]float64

// World is a service under a rollout. The zero value of a field means that its
// feature is absent, unless it says otherwise.
type World struct {
	// Number is the row of the acceptance table and seeds the rollouts. Name and
	// Variant identify the world within the catalogue.
	Number        int
	Name, Variant string
	// Runs is the number of rollouts in the short form. If it is not above zero, only the
	// long form plays the world.
	Runs int

	// PerSecond is the number of requests in a second, all arms together. They are
	// spread evenly, with jitter, over the first Burst of the time between two looks.
	// Burst is a share; zero means all of it.
	PerSecond float64
	Burst     float64
	// Looks is how often the analysis looks. Every is the time between two looks in
	// seconds; zero means one second.
	Looks int
	Every float64
	// Before is how long the baseline serves alone before the first look.
	Before Before
	// Split says which shares are in force from which look on.
	Split []Stage
	// Adaptive moves the candidate's share at each fifth look by what the observer
	// leans to.
	Adaptive bool

	Users  Users
	Arms   [NumArms]Service
	Change Change
	Phases []Phase
	// Drift is the standard deviation of a disturbance of the logarithm of all times.
	// Both arms share it. It is autoregressive, with a coefficient of .9 a look.
	Drift    float64
	Clusters Clusters
	Cold     Cold
	// Tenants is the number of tenants. Of the candidate, tenant 0 is served by
	// ForTenant instead of its service.
	Tenants   int
	ForTenant Service
	// Forced is the share of requests that a rule sends to the candidate whatever
	// their slot; ForcedErrors is the share of them that fail.
	Forced, ForcedErrors float64
	// Sticky keeps users with the arm that they were first assigned to.
	Sticky bool
	// Retries is the largest number of further requests that follow a failure.
	Retries int
	// Leave replaces a user by a new one after a failure.
	Leave bool
	// Crowd is a number of requests that one user sends in the same moment, at one
	// look in five on average.
	Crowd int
	Fleet Fleet
	// Leavers is the share of callers who leave a stream an exponential second after
	// its first content.
	Leavers float64

	// Replicas is the number of processes over which requests are spread; zero means
	// one. Restart is the number of looks between two restarts of all of them.
	Replicas, Restart int

	Plan   Settings
	Claims []Claim
}

// Settings are what the analysis is asked to do differently from its defaults.
type Settings struct {
	Warm      int     // requests of the candidate that are declared as warm-up
	NoPersist bool    // harm need not persist
	NoBreaker bool    // no breaker trips
	Tolerance float64 // factor on TTFT that is no harm; zero means the default
}

// Before is a time in which the baseline serves alone. Its last requests may still be
// in flight at the first look.
type Before struct {
	Seconds   int
	PerSecond float64 // zero means the rate of the world
}

// Stage is a split in force from a look on.
type Stage struct {
	Look   int
	Shares Shares
}

// Users are the users of a world. With N zero, each request comes from its own user.
type Users struct {
	N int
	// Heavy users make HeavyShare of the requests.
	Heavy      int
	HeavyShare float64
	// Bad is the share of users who fail BadTimes as often as the others. The mean
	// over users is what their arm's Service says.
	Bad, BadTimes float64
}

// Change replaces the service of the candidate after a number of its requests.
type Change struct {
	After   int
	Service Service
}

// Values of [Phase.Arm] beyond the arms themselves.
const (
	BothArms  = -1
	RandomArm = -2 // one of baseline and candidate, drawn for each repetition
)

// Phase disturbs one arm, or both, during the looks from From to before To. With Every
// above zero, it repeats after that number of looks.
type Phase struct {
	From, To, Every int
	Arm             int
	Errors          float64 // replaces the error rate if above zero
	Slower          float64 // multiplies all times if above zero
}

// Clusters makes failures come in groups: a request begins one with probability Share,
// and the next requests of its arm fail until Size have failed.
type Clusters struct {
	Share float64
	Size  int
}

// Cold multiplies TTFT of the candidate's first requests by Times. With Fills set, the
// factor falls linearly to one over these requests.
type Cold struct {
	Requests int
	Times    float64
	Fills    bool
}

// Fleet makes requests wait for a server, in the order of their arrival.
type Fleet struct {
	Servers int // of each arm, or of the pool
	Pool    bool
}

// ID returns the number, name and variant of w as one line.
func (w *World) ID() string { return fmt.Sprintf("%02d %s, %s", w.Number, w.Name, w.Variant) }

// Requests returns how many requests a rollout of w has when it is played to its end,
// without retries and crowds.
func (w *World) Requests() int {
	n := w.PerSecond * w.every() * float64(w.Looks)
	return int(n + float64(w.Before.Seconds)*w.beforeRate())
}

func (w *World) every() float64 {
	if w.Every == 0 {
		return 1
	}
	return w.Every
}

func (w *World) beforeRate() float64 {
	if w.Before.PerSecond == 0 {
		return w.PerSecond
	}
	return w.Before.PerSecond
}

func orOne(x float64) float64 {
	if x == 0 {
		return 1
	}
	return x
}

func orElse(x, standard float64) float64 {
	if x == 0 {
		return standard
	}
	return x
}
