// Embedded files: the contents of files that directives name, carried in the text that a worker parses.
//
// Form     embedded_file path base64 ...; in the main context.  The master reads certificates and keys with the rights
//          it was started with; a worker may have lost them, and must see the same bytes as the others.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/config/statement.h"

namespace beamgate::config {

// Replaces the statements of this kind by those for `files`, in front of all others.
void embed_files(const std::map<std::string, Secret>& files, std::vector<Statement>& statements);

// Joins and decodes the words behind the path; false: they are no base64.
bool decode_embedded(const Statement& statement, std::string& bytes);

}  // namespace beamgate::config
