"""How long the rows of people stay, and those of the frameworks' own tables."""

from __future__ import annotations

from capabilities.numbers import NUMBERS
from capabilities.retention import Aged, Follows, Rule, Stays

DAY_S = 86_400.0
BY_THE_CODE = "made from the code by migrations"
RULES: list[Rule] = [
    Stays(model="accounts.User", why="one for each person"),
    Aged(
        model="accounts.LoginLink",
        why="goes a day after it can no longer be used",
        moment="expires_at",
        kept_s=DAY_S,
    ),
    Aged(
        model="accounts.PersonInvitation",
        why="goes some time after it can no longer be used",
        moment="expires_at",
        kept_s=NUMBERS.expired_kept_s,
    ),
    Follows(model="account.EmailAddress", why="one or two for each person", parent="accounts.User"),
    Follows(model="account.EmailConfirmation", why="goes with its address", parent="account.EmailAddress"),
    Follows(model="mfa.Authenticator", why="second factors of a person", parent="accounts.User"),
    Follows(
        model="socialaccount.SocialAccount", why="one for each identity provider", parent="accounts.User"
    ),
    Follows(model="socialaccount.SocialToken", why="none are stored", parent="socialaccount.SocialAccount"),
    Stays(model="socialaccount.SocialApp", why="identity providers come from the settings"),
    Aged(
        model="usersessions.UserSession",
        why="as long as a login may last",
        moment="created_at",
        kept_s=NUMBERS.login_kept_s,
    ),
    Aged(
        model="accounts.ApiToken",
        why="goes some time after it has expired",
        moment="expiry",
        kept_s=NUMBERS.expired_kept_s,
    ),
    Aged(model="sessions.Session", why="goes when it has expired", moment="expire_date", kept_s=0.0),
    Aged(
        model="admin.LogEntry",
        why="what people changed in the admin",
        moment="action_time",
        kept_s=NUMBERS.audit_kept_s,
    ),
    Stays(model="capabilities.Role", why="made by people; the built-in ones by the code"),
    Follows(model="capabilities.RoleHolding", why="one for each person", parent="capabilities.Identity"),
    Stays(model="capabilities.Organisation", why="made and removed by people"),
    Follows(
        model="capabilities.Membership", why="made and removed by people", parent="capabilities.Organisation"
    ),
    Follows(model="capabilities.Team", why="made and removed by people", parent="capabilities.Organisation"),
    Follows(
        model="capabilities.TeamMembership", why="made and removed by people", parent="capabilities.Team"
    ),
    Stays(model="auth.Permission", why=BY_THE_CODE),
    Stays(model="auth.Group", why="made by people; nothing here makes any"),
    Stays(model="contenttypes.ContentType", why=BY_THE_CODE),
]
