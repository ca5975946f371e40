// Paths of manifests: "/items/:id" and "/items/{id}" have a parameter, "/files/*" takes the rest.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace heddle::route {

// The path as the router reads it: "{id}" becomes ":id". The error says what is wrong with it.
Result<std::string> to_pattern(std::string_view path);

// The same for paths that match the same requests: parameters have lost their names.
std::string shape_of(std::string_view pattern);

}  // namespace heddle::route
