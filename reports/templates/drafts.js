// What was chosen and written about a pair, and not answered yet. It stays in this tab, so that
// neither a way back nor a reload loses it. Reviews of one address do not share theirs.
class Drafts {
  constructor(review) {
    this.review = review;
  }

  key(rater, pair) {
    return JSON.stringify([this.review, rater.toLowerCase(), pair]);
  }

  keep(rater, pair, draft) {
    try {
      sessionStorage.setItem(this.key(rater, pair), JSON.stringify(draft));
    } catch { /* a browser may refuse to keep anything: nothing else depends on it */ }
  }

  of(rater, pair) {
    try {
      return JSON.parse(sessionStorage.getItem(this.key(rater, pair)));
    } catch {
      return null;
    }
  }

  drop(rater, pair) {
    try {
      sessionStorage.removeItem(this.key(rater, pair));
    } catch { /* then nothing was kept */ }
  }
}
