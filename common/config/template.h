// Template: a directive's argument with variables ("$remote_addr - ${uri}"), split once when it is read.
//
// Source   nginx's variable syntax: $name, ${name}, $1 to $9; a lone "$" before anything else is an error.
// Errors   parse() names the byte where the text is wrong.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace beamgate::config {

bool is_variable_byte(char c);  // One that the name of a variable may have.

class Template {
 public:
  struct Part {
    bool variable = false;
    std::string text;  // The literal, or the variable's name without "$".
  };

  // Appends the value of a variable; an unknown variable appends nothing.
  using Resolve = std::function<void(std::string_view name, std::string& out)>;

  // False when the syntax is wrong; error then says why.
  static bool parse(std::string_view text, Template& out, std::string& error);

  void expand(const Resolve& resolve, std::string& out) const;

  bool empty() const { return parts_.empty(); }
  bool constant() const { return parts_.empty() || (parts_.size() == 1 && !parts_[0].variable); }
  const std::vector<Part>& parts() const { return parts_; }
  const std::string& source() const { return source_; }  // As written; what -T prints.

 private:
  std::vector<Part> parts_;
  std::string source_;
};

}  // namespace beamgate::config
