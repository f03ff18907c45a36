package charter

import (
	"herald/internal/keys"
	"herald/internal/line"
	"herald/internal/wire"
)

// ReleaseRule says how many officers must sign words of a kind at a
// precedence, and which roles may. The watch's own acts (understood, a holding
// reply, a query, a service message) take one officer of the watch or above
// whatever the precedence, so that they cost nothing politically; declining
// and answering are never without an officer (spec 05 §6).
func (c *Charter) ReleaseRule(k wire.Kind, p line.Precedence) (need int, roles []keys.Role) {
	t := c.Precedence(p)
	desk := []keys.Role{keys.RoleWatch, keys.RoleRelease, keys.RolePrincipal}
	switch k {
	case wire.KindUnderstood, wire.KindHold, wire.KindQuery:
		return 1, desk
	case wire.KindService:
		return min(1, t.Releasers), desk
	case wire.KindDecline, wire.KindAnswer:
		if t.Releasers == 0 {
			return 1, desk
		}
	}
	return t.Releasers, t.Roles
}
