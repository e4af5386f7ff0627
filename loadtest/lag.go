package loadtest

// addLag adds the lag of one request. The part in which its user waited for an earlier
// answer is not the generator's.
func (r *Report) addLag(res Result) {
	lag := res.SchedLag()
	if res.UserWait > 0 && r.ownLag == nil {
		r.ownLag = new(Distribution)
		r.ownLag.merge(&r.SchedLag) // up to now they are equal
	}
	r.SchedLag.add(lag)
	if r.ownLag != nil {
		r.ownLag.add(max(0, lag-res.UserWait))
	}
}

// generatorLag returns the distribution of the lag that is the generator's.
func (r *Report) generatorLag() *Distribution {
	if r.ownLag != nil {
		return r.ownLag
	}
	return &r.SchedLag
}

// mergeLag adds the generator's lag of o to r. It is called before SchedLag is merged.
func (r *Report) mergeLag(o *Report) {
	if r.ownLag == nil && o.ownLag == nil {
		return
	}
	all := new(Distribution)
	all.merge(r.generatorLag())
	all.merge(o.generatorLag())
	r.ownLag = all
}
