#include "worker/proto/phoenix/presence.h"

#include <unordered_map>
#include <unordered_set>

#include "common/base/bytes.h"
#include "common/crypto/crypto.h"
#include "common/json/value.h"
#include "worker/record/uid.h"

namespace beamgate::proto::phoenix {
namespace {

// What it was until it said something else: Hub::update_member() moves its time on by one.
ipc::Member before(const ipc::Member& member) {
  ipc::Member old = member;
  --old.since_ms;
  old.info = {};
  return old;
}

std::string meta_json(const ipc::Member& member, bool updated) {
  std::string out = "{";
  std::string_view info = member.info;
  if (info.starts_with('{') && info.ends_with('}')) {
    info = info.substr(1, info.size() - 2);
    if (info.find_first_not_of(" \t\r\n") != std::string_view::npos) out.append(info).append(1, ',');
  } else if (!info.empty()) {
    out.append(R"("info":)").append(info).append(1, ',');
  }
  // Behind the others: of a name that is there twice the last one counts.
  const std::string ref = phx_ref(member);
  out.append(R"("phx_ref":")").append(ref);
  if (updated) out.append(R"(","phx_ref_prev":")").append(phx_ref(before(member)));
  return out.append("\"}");
}

// Metas by user, in the order of first mention.
class State {
 public:
  void add(const ipc::Member& member, bool updated) {
    const std::string key = member.user.empty() ? record::format_uid(member.uid) : std::string(member.user);
    const auto [at, is_new] = index_.emplace(key, users_.size());
    if (is_new) users_.push_back({key, {}});
    std::string& metas = users_[at->second].metas;
    if (!metas.empty()) metas += ',';
    metas += meta_json(member, updated);
  }
  bool empty() const { return users_.empty(); }
  std::string json() const {
    std::string out = "{";
    for (const User& user : users_) {
      if (out.size() > 1) out += ',';
      json::append_string(out, user.key);
      out.append(R"(:{"metas":[)").append(user.metas).append("]}");
    }
    return out += '}';
  }

 private:
  struct User {
    std::string key;
    std::string metas;
  };
  std::vector<User> users_;
  std::unordered_map<std::string, size_t> index_;
};

struct Diff {
  State joins;
  State leaves;
  std::unordered_set<uint64_t> uids;

  void finish(std::vector<std::string>& out) {
    if (joins.empty() && leaves.empty()) return;
    out.push_back(R"({"joins":)" + joins.json() + R"(,"leaves":)" + leaves.json() + "}");
    *this = {};
  }
};

}  // namespace

std::string phx_ref(const ipc::Member& member) {
  char bytes[12];  // 16 characters in base64, without padding.
  store_be(bytes, member.uid);
  store_be(bytes + 8, static_cast<uint32_t>(member.since_ms));
  return crypto::base64_encode({bytes, sizeof bytes});
}

std::string presence_state(const std::vector<ipc::Member>& members) {
  State state;
  for (const ipc::Member& member : members) state.add(member, false);
  return state.json();
}

std::vector<std::string> presence_diffs(const std::vector<ipc::MemberChange>& changes) {
  std::vector<std::string> out;
  Diff diff;
  for (const ipc::MemberChange& change : changes) {
    if (!diff.uids.insert(change.member.uid).second) {
      diff.finish(out);
      diff.uids.insert(change.member.uid);
    }
    State& state = change.event == ipc::MemberEvent::Left ? diff.leaves : diff.joins;
    const bool updated = change.event == ipc::MemberEvent::Updated;
    state.add(change.member, updated);
    if (updated) diff.leaves.add(before(change.member), false);
  }
  diff.finish(out);
  return out;
}

std::string presence_count(uint32_t users, uint32_t connections) {
  return R"({"users":)" + std::to_string(users) + R"(,"connections":)" + std::to_string(connections) + "}";
}

}  // namespace beamgate::proto::phoenix
