package worlds

import (
	"math"
	"math/rand/v2"
	"strconv"
)

// slots is the number of slots of a split's table.
const slots = 10_000

// table is the table of a split: the arm of each slot.
type table struct {
	order []int16 // slots, shuffled once for a rollout
	arm   [slots]int8
}

// newTable returns a table in which the baseline has all slots.
func newTable(rng *rand.Rand) table {
	t := table{order: make([]int16, slots)}
	for i := range t.order {
		t.order[i] = int16(i)
	}
	rng.Shuffle(slots, func(i, j int) { t.order[i], t.order[j] = t.order[j], t.order[i] })
	return t
}

// move gives each arm its share of the slots, and moves no more slots than that takes.
func (t *table) move(shares Shares) {
	var missing [NumArms]int
	left := slots
	for arm := NumArms - 1; arm > Baseline; arm-- {
		missing[arm] = int(math.Round(shares[arm] * slots))
		left -= missing[arm]
	}
	missing[Baseline] = left
	for _, arm := range t.arm {
		missing[arm]--
	}
	to := 0
	for _, slot := range t.order {
		from := t.arm[slot]
		if missing[from] >= 0 {
			continue
		}
		for missing[to] <= 0 {
			to++
		}
		missing[from]++
		missing[to]--
		t.arm[slot] = int8(to)
	}
}

// crowd is the users of a rollout. A place is taken by one user at a time.
type crowd struct {
	users Users
	salt  uint64
	mean  float64 // of how often users fail, in units of the others

	id    []int // of the user at a place, by place
	at    []int // the place of a user, by id; -1 if the user has left
	slot  []uint16
	fails []float64 // how often the user fails, over the mean of all users
	arm   []int8    // sticky, with the generation since when; zero: not assigned
	since []uint64
}

func newCrowd(u Users, rng *rand.Rand) crowd {
	c := crowd{
		users: u, salt: rng.Uint64(), mean: 1 + u.Bad*(u.BadTimes-1),
		id: make([]int, u.N), slot: make([]uint16, u.N), fails: make([]float64, u.N),
		arm: make([]int8, u.N), since: make([]uint64, u.N),
	}
	for place := range u.N {
		c.settle(place, rng)
	}
	return c
}

// settle gives a place to a new user.
func (c *crowd) settle(place int, rng *rand.Rand) {
	id := len(c.at)
	c.at = append(c.at, place)
	c.id[place] = id
	c.slot[place] = uint16(mix(c.salt^uint64(id)) % slots)
	c.fails[place] = 1 / c.mean
	if c.users.Bad > 0 && rng.Float64() < c.users.Bad {
		c.fails[place] = c.users.BadTimes / c.mean
	}
	c.since[place] = 0
}

// replace lets the user at a place leave, and another come.
func (c *crowd) replace(place int, rng *rand.Rand) {
	c.at[c.id[place]] = -1
	c.settle(place, rng)
}

// pick returns the place of the user who sends the next request, -1 without users.
func (c *crowd) pick(rng *rand.Rand) int {
	u := c.users
	switch {
	case u.N == 0:
		return -1
	case u.Heavy > 0 && rng.Float64() < u.HeavyShare:
		return rng.IntN(u.Heavy)
	}
	return u.Heavy + rng.IntN(u.N-u.Heavy)
}

// place returns the place of a user, -1 without users or if the user has left.
func (c *crowd) place(id int) int {
	if id < 0 {
		return -1
	}
	return c.at[id]
}

// UserName returns the name of the user with the given number, "" if it is negative.
func UserName(user int) string {
	if user < 0 {
		return ""
	}
	return "user" + strconv.Itoa(user)
}

// mix returns a hash of x (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
