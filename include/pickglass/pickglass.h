/* libpickglass: everything. */
#pragma once

#include <pickglass/error.h>
#include <pickglass/event.h>
#include <pickglass/recipe.h>
#include <pickglass/run.h>
