package keys

import (
	"strings"
	"testing"

	"herald/internal/line"
)

func TestOfficerCodes(t *testing.T) {
	p, r, n, err := ParseOfficer("us-watch-12")
	if p != "US" || r != RoleWatch || n != 89 || err != nil {
		t.Errorf("got %v %v %v %v", p, r, n, err)
	}
	for _, s := range []line.Officer{"", "us-watch", "us-watch-0", "us-watch-01", "us-watch-+1", "us-watch-8192",
		"US-watch-1", "us-chief-1", "u-watch-1", "us-watch-1-", "us--1", "us-Watch-1", "us-watch-1\n"} {
		if _, _, _, err := ParseOfficer(s); err == nil {
			t.Errorf("%q was accepted", s)
		}
	}
}

func TestLanguagesAndStations(t *testing.T) {
	for _, s := range []string{"en", "zh-Hans", "pt-BR", "zh-Hant-TW", "fil"} {
		if err := CheckLanguage(s); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []string{"", "e", "english", "EN", "en-", "en-us", "zh-hans", "en-US-x", "en-US-Latn", "en_US"} {
		if CheckLanguage(s) == nil {
			t.Errorf("language %q was accepted", s)
		}
	}
	for _, s := range []string{"", "-a", "a-", "A", "a b", strings.Repeat("a", 33), "ä"} {
		if ParseStationName(s) == nil {
			t.Errorf("station %q was accepted", s)
		}
	}
	if err := CheckLanguages([]string{"en", "en"}); err == nil {
		t.Error("one language twice was accepted")
	}
}

func TestCheckLabel(t *testing.T) {
	for _, s := range []string{"Україна", "中华人民共和国", "وزارة الخارجية", "می\u200cخواهم", "Côte d’Ivoire"} {
		if err := CheckLabel(s, MaxName); err != nil {
			t.Error(err)
		}
	}
	for _, s := range []string{"", " a", "a ", "a  b", "a\nb", "a\tb", "a\x00", "a\u202eb", "a\u2066b", "a\u200fb",
		"a\u2028b", "\ufeffa", "a\u00adb", "a\u200bb", "a\U000e0041b", "a\xffb", "a\ufffdb", "a\U0001ffffb", "\u0085"} {
		if CheckLabel(s, MaxName) == nil {
			t.Errorf("%q was accepted", s)
		}
	}
	if CheckLabel(strings.Repeat("a", MaxName+1), MaxName) == nil {
		t.Error("no limit")
	}
}
