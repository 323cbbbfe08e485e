<?php
/**
 * What happens when the plugin is deleted: points and cards are money, so they stay unless the setting says otherwise.
 *
 * @package Counterflow\Companion
 */

namespace Counterflow\Companion;

defined( 'WP_UNINSTALL_PLUGIN' ) || exit;

$settings = get_option( 'counterflow_settings' );
if ( ! is_array( $settings ) || 'yes' !== ( $settings['delete_data'] ?? '' ) ) {
	return;
}

require_once __DIR__ . '/includes/tables.php';
foreach ( TABLES as $name ) {
	$GLOBALS['wpdb']->query( 'DROP TABLE IF EXISTS ' . table( $name ) ); // phpcs:ignore WordPress.DB -- Our own names; there is no cache of a table.
}
delete_option( 'counterflow_settings' );
delete_option( 'counterflow_version' );
$administrator = get_role( 'administrator' );
if ( $administrator ) {
	$administrator->remove_cap( 'counterflow_sync' );
}
remove_role( 'counterflow' );
