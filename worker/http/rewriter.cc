#include "worker/http/rewriter.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common/config/model.h"
#include "common/config/regex.h"
#include "worker/http/location_search.h"
#include "worker/http/variables.h"

namespace beamgate::http {
namespace {

using config::Condition;
using config::Rewrite;
using config::Step;
using Next = Direction::Next;

struct Run {
  Request& request;
  const record::Record& record;
  bool path_changed = false;
  bool stopped = false;  // "break", or a rewrite's break.
  bool last = false;     // A rewrite's last: no more of the script, but a search.
};

Direction run_steps(const config::Script& script, Run& run);

std::string text_of(const config::Template& text, const Run& run) {
  std::string out;
  expand(text, run.request, run.record, out);
  return out;
}

void set_variable(const std::string& name, std::string value, Request& request) {
  if (name == "args") {
    request.query = std::move(value);
  } else {
    request.captures.emplace_back(name, std::move(value));
  }
}

// --- Conditions.

bool file_is(Condition::Test test, const std::string& path) {
  struct stat status {};
  if (test == Condition::Test::Executable) return access(path.c_str(), X_OK) == 0;
  if (stat(path.c_str(), &status) != 0) return false;
  if (test == Condition::Test::File) return S_ISREG(status.st_mode);
  return test == Condition::Test::Exists || S_ISDIR(status.st_mode);
}

Result<bool> holds(const Condition& condition, Run& run) {
  const std::string subject = text_of(condition.subject, run);
  switch (condition.test) {
    case Condition::Test::True:
      return !subject.empty() && subject != "0";
    case Condition::Test::Equal:
      return subject == text_of(condition.operand, run);
    case Condition::Test::Matches: {
      config::Captures groups;
      const Result<bool> matched = condition.regex->match(subject, &groups);
      if (matched.ok() && matched.value()) append_captures(*condition.regex, groups, run.request.captures);
      return matched;
    }
    case Condition::Test::File:
    case Condition::Test::Directory:
    case Condition::Test::Exists:
    case Condition::Test::Executable:
      return file_is(condition.test, subject);
  }
  return false;
}

Direction run_if(const Step& step, Run& run) {
  const Result<bool> held = holds(step.condition, run);
  if (!held.ok()) return {Next::Failed};
  if (held.value() == step.condition.negated) return {};
  if (step.location != nullptr) run.request.location = step.location.get();
  return run_steps(step.body, run);
}

// --- Rewrites.

bool is_capture(std::string_view name, const config::Captures& groups) {
  std::string_view unused;
  return groups.find(name, unused);
}

// Text of the path that becomes part of arguments or of a URL.  What the client had encoded may have meant something
// else than it would now, hence "&" and "+" as well; without any encoding it is what the client wrote.
void append_encoded(std::string_view text, const Request& request, std::string& out) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  const bool was_encoded = request.target.find_first_of("%+") != std::string_view::npos;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool meant = byte <= 0x20 || byte >= 0x7f || c == '"' || c == '#' || c == '%' || c == '?';
    if (meant || (was_encoded && (c == '&' || c == '+'))) {
      out += {'%', kDigits[byte >> 4], kDigits[byte & 15]};
    } else {
      out += c;
    }
  }
}

struct Replaced {
  std::string text;
  size_t question = std::string::npos;  // Where the configuration's own "?" is; one in a value separates nothing.
};

// The replacement's text.  Captures come from the path, which is decoded: behind a "?", and in all of a redirect,
// they are encoded again.
Replaced expand_replacement(const Rewrite& rewrite, const config::Captures& groups, bool redirect, const Run& run) {
  Replaced out;
  for (const config::Template::Part& part : rewrite.replacement.parts()) {
    const bool encode = redirect || out.question != std::string::npos;
    if (!part.variable) {
      const size_t question = part.text.find('?');
      if (!encode && question != std::string::npos) out.question = out.text.size() + question;
      out.text += part.text;
    } else if (encode && is_capture(part.text, groups)) {
      std::string_view captured;
      static_cast<void>(groups.find(part.text, captured));
      append_encoded(captured, run.request, out.text);
    } else {
      append_variable(part.text, {run.request, run.record}, out.text);
    }
  }
  return out;
}

bool is_absolute(const config::Template& replacement) {
  const std::string& text = replacement.source();
  return text.starts_with("http://") || text.starts_with("https://") || text.starts_with("$scheme");
}

Direction redirect_to(const Rewrite& rewrite, std::string target, const Run& run) {
  const bool has_args = target.find('?') != target.npos;
  if (rewrite.keep_args && !run.request.query.empty()) {
    target += has_args ? '&' : '?';
    target += run.request.query;
  }
  const uint16_t status = rewrite.flag == Rewrite::Flag::Permanent ? 301 : 302;
  return {Next::Redirect, nullptr, status, std::move(target)};
}

Direction run_rewrite(const Rewrite& rewrite, Run& run) {
  config::Captures groups;
  const std::string path = run.request.path;  // What the captures are views of.
  const Result<bool> matched = rewrite.regex->match(path, &groups);
  if (!matched.ok()) return {Next::Failed};
  if (!matched.value()) return {};
  append_captures(*rewrite.regex, groups, run.request.captures);
  const bool redirect =
      is_absolute(rewrite.replacement) || rewrite.flag == Rewrite::Flag::Redirect || rewrite.flag == Rewrite::Flag::Permanent;
  auto [target, question] = expand_replacement(rewrite, groups, redirect, run);
  if (target.size() > kPathBytesMax) return {Next::Failed};
  if (redirect) return redirect_to(rewrite, std::move(target), run);
  std::string args = question == target.npos ? std::string() : target.substr(question + 1);
  target.resize(std::min(question, target.size()));
  if (rewrite.keep_args && !run.request.query.empty()) {
    if (!args.empty()) args += '&';
    args += run.request.query;
  }
  if (!target.starts_with('/') || args.size() > kPathBytesMax) return {Next::Failed};
  run.request.path = std::move(target);
  run.request.query = std::move(args);
  run.request.rewritten = run.request.internal = true;
  run.path_changed = rewrite.flag != Rewrite::Flag::Break;
  run.stopped = run.request.in_place = rewrite.flag == Rewrite::Flag::Break;
  run.last = rewrite.flag == Rewrite::Flag::Last;
  return {};
}

Direction run_step(const Step& step, Run& run) {
  switch (step.kind) {
    case Step::Kind::Set:
      set_variable(step.variable, text_of(step.value, run), run.request);
      return {};
    case Step::Kind::Rewrite:
      return run_rewrite(step.rewrite, run);
    case Step::Kind::Return:
      return {Next::Answer, &step.answer};
    case Step::Kind::Break:
      run.stopped = true;
      run.path_changed = false;
      return {};
    case Step::Kind::If:
      return run_if(step, run);
  }
  return {};
}

Direction run_steps(const config::Script& script, Run& run) {
  for (const Step& step : script) {
    Direction direction = run_step(step, run);
    if (direction.next != Next::Go || run.stopped || run.last) return direction;
  }
  return {};
}

}  // namespace

Direction run_script(const config::Script& script, Request& request, const record::Record& record) {
  Run run{request, record};
  Direction direction = run_steps(script, run);
  if (direction.next == Next::Go && run.path_changed) direction.next = Next::Search;
  return direction;
}

bool go_to(std::string_view uri, Request& request) {
  const size_t question = uri.find('?');
  if (!uri.starts_with('/') || uri.size() > kPathBytesMax) return false;
  request.path = uri.substr(0, question);
  request.query = question == uri.npos ? std::string_view() : uri.substr(question + 1);
  request.rewritten = true;
  return true;
}

}  // namespace beamgate::http
